# Each tests/NAME.c is a program tests/NAME and a test; each tests/NAME.sh is a test that is told the build tree; each
# public header is a test: it must compile alone, as C11 and as C++11.

# What a sanitizer must not take for itself: the signals that the tests die of on purpose.
set(signals "handle_segv=0:handle_sigbus=0:handle_abort=0:handle_sigfpe=0:handle_sigill=0")
set(test_environment
    "ASAN_OPTIONS=${signals}" "TSAN_OPTIONS=${signals}:die_after_fork=0" "UBSAN_OPTIONS=print_stacktrace=1")

# A sanitizer calls dlopen in the program's place, whose RUNPATH does not count then.
if(BROOD_SANITIZE)
    list(APPEND test_environment "LD_LIBRARY_PATH=${PROJECT_BINARY_DIR}")
endif()

# Single-process tests: what ThreadSanitizer, which sees one process at a time, can judge.
set(tsan_tests
    array_use barrier_use condition_use connection_tls connection_use event_use listener_key listener_use lock_recursive
    lock_share lock_use memory_block memory_place memory_resize memory_wrong pool_map process_start queue_use rwlock_use
    semaphore_use value_use)

function(brood_test name)
    add_test(NAME ${name} COMMAND ${ARGN})
    set_tests_properties(${name} PROPERTIES
        TIMEOUT 300 SKIP_RETURN_CODE 77 ENVIRONMENT "${test_environment}")
    if(name IN_LIST tsan_tests)
        set_tests_properties(${name} PROPERTIES LABELS tsan)
    endif()
endfunction()

# LeakSanitizer starts a process at a program's end, which process_faults has had the kernel refuse by then.
function(brood_test_without_leak_check name)
    list(TRANSFORM test_environment REPLACE "^ASAN_OPTIONS=" "ASAN_OPTIONS=detect_leaks=0:" OUTPUT_VARIABLE environment)
    set_tests_properties(${name} PROPERTIES ENVIRONMENT "${environment}")
endfunction()

file(GLOB harness CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/harness*.c")
file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/*.c")
list(REMOVE_ITEM sources ${harness})
add_library(harness OBJECT ${harness})
target_include_directories(harness PUBLIC "${PROJECT_SOURCE_DIR}/include")
target_link_libraries(harness PUBLIC brood_gnu)
target_compile_definitions(harness INTERFACE
    TEST_FOLDER="${PROJECT_SOURCE_DIR}/tests" TEST_OPENSSL=$<TARGET_EXISTS:brood_openssl>
    TEST_TOOL="$<$<TARGET_EXISTS:brood_tool>:${PROJECT_BINARY_DIR}/inspect/brood>")
foreach(source IN LISTS sources)
    cmake_path(GET source STEM name)
    add_executable(test_${name} "${source}")
    set_target_properties(test_${name} PROPERTIES
        OUTPUT_NAME ${name} RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tests")
    if(name MATCHES "^internal_")
        target_include_directories(test_${name} PRIVATE "${PROJECT_SOURCE_DIR}/src")
        target_link_libraries(test_${name} PRIVATE harness brood_bare)
    else()
        target_link_libraries(test_${name} PRIVATE harness brood_static)
    endif()
    if(TARGET brood_openssl) # which a program with brood inside looks for where its libraries are
        set_target_properties(test_${name} PROPERTIES BUILD_RPATH "${PROJECT_BINARY_DIR}")
        add_dependencies(test_${name} brood_openssl)
    endif()
    brood_test(${name} test_${name})
endforeach()

brood_test_without_leak_check(process_faults)

# What the tool concludes and reads, without a family that it looks at.
file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/inspect/sight*.c")
target_sources(test_internal_inspect PRIVATE ${sources}
    "${PROJECT_SOURCE_DIR}/inspect/diagnosis.c" "${PROJECT_SOURCE_DIR}/inspect/family.c"
    "${PROJECT_SOURCE_DIR}/inspect/json.c" "${PROJECT_SOURCE_DIR}/inspect/spans.c"
    "${PROJECT_SOURCE_DIR}/inspect/utf8.c" "${PROJECT_SOURCE_DIR}/inspect/window.c"
    "${PROJECT_SOURCE_DIR}/inspect/words.c")
target_include_directories(test_internal_inspect PRIVATE "${PROJECT_SOURCE_DIR}/inspect")

file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/plugin/*.c")
foreach(source IN LISTS sources)
    cmake_path(GET source STEM name)
    add_library(plugin_${name} MODULE "${source}")
    set_target_properties(plugin_${name} PROPERTIES
        PREFIX "" OUTPUT_NAME ${name} LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tests/plugin")
    target_include_directories(plugin_${name} PRIVATE "${PROJECT_SOURCE_DIR}/include")
    target_link_libraries(plugin_${name} PRIVATE brood_gnu)
endforeach()

# What interop.sh and manager_protocol.sh have talk with Python.
foreach(name IN ITEMS peer manager)
    add_executable(interop_${name} "${PROJECT_SOURCE_DIR}/tests/interop/${name}.c")
    set_target_properties(interop_${name} PROPERTIES OUTPUT_NAME ${name} BUILD_RPATH "${PROJECT_BINARY_DIR}"
        RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tests/interop")
    target_link_libraries(interop_${name} PRIVATE brood_static brood_gnu)
endforeach()

# Fuzzers of what parses bytes from outside: tests/fuzz/NAME.c, with its corpus beside it. Every build runs over the
# corpus. clang's has libFuzzer besides, for build-clang/tests/fuzz_NAME: some seconds here, longer in check.sh --long.
set(fuzzed_handshake exchange/frame.c exchange/handshake.c)
set(fuzzed_message manager/cbor.c manager/message.c manager/words.c)
file(GLOB fuzzers CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/fuzz/*.c")
foreach(source IN LISTS fuzzers)
    cmake_path(GET source STEM name)
    file(GLOB corpus CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/fuzz/${name}/*")
    add_executable(corpus_${name} "${source}")
    target_compile_definitions(corpus_${name} PRIVATE FUZZ_BY_HAND)
    target_include_directories(corpus_${name} PRIVATE "${PROJECT_SOURCE_DIR}/src")
    target_link_libraries(corpus_${name} PRIVATE brood_bare brood_gnu)
    set_target_properties(corpus_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tests")
    brood_test(corpus_${name} corpus_${name} ${corpus})
    if(CMAKE_C_COMPILER_ID STREQUAL "Clang" AND NOT BROOD_SANITIZE)
        list(TRANSFORM fuzzed_${name} PREPEND "${PROJECT_SOURCE_DIR}/src/" OUTPUT_VARIABLE fuzzed)
        add_executable(fuzz_${name} "${source}" ${fuzzed})
        set(fuzz -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all)
        target_compile_options(fuzz_${name} PRIVATE ${fuzz})
        target_link_options(fuzz_${name} PRIVATE ${fuzz})
        target_include_directories(fuzz_${name} PRIVATE "${PROJECT_SOURCE_DIR}/include" "${PROJECT_SOURCE_DIR}/src")
        target_link_libraries(fuzz_${name} PRIVATE brood_gnu)
        set_target_properties(fuzz_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tests")
        set(found "${PROJECT_BINARY_DIR}/tests/fuzz_${name}.found") # what it finds goes there: the corpus is as it is
        file(MAKE_DIRECTORY "${found}")
        brood_test(fuzz_${name} fuzz_${name} -max_total_time=5 -max_len=1024 -verbosity=0
            "-artifact_prefix=${found}/" "${found}" "${PROJECT_SOURCE_DIR}/tests/fuzz/${name}")
    endif()
endforeach()

file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/*.sh")
foreach(source IN LISTS sources)
    cmake_path(GET source STEM name)
    brood_test(${name} sh "${source}" "${PROJECT_BINARY_DIR}")
endforeach()
set_tests_properties(install newcomer PROPERTIES TIMEOUT 900) # they build the library anew

if(NOT BROOD_SANITIZE)
    include(CheckLanguage)
    check_language(CXX)
    set(alone -Wall -Wextra -Wpedantic -Wshadow -Werror -fsyntax-only -I "${PROJECT_SOURCE_DIR}/include")
    file(GLOB headers CONFIGURE_DEPENDS
        "${PROJECT_SOURCE_DIR}/include/brood.h" "${PROJECT_SOURCE_DIR}/include/brood/*.h")
    foreach(header IN LISTS headers)
        cmake_path(GET header STEM name)
        brood_test(header_${name}_c11 "${CMAKE_C_COMPILER}" -std=c11 ${alone} -x c "${header}")
        if(CMAKE_CXX_COMPILER)
            brood_test(header_${name}_cxx11 "${CMAKE_CXX_COMPILER}" -std=c++11 ${alone} -x c++ "${header}")
        endif()
    endforeach()
endif()
