# The library, compiled once and packed twice: libbrood.so and libbrood.a.

file(GLOB brood_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/*/*.c")
list(FILTER brood_sources EXCLUDE REGEX "/src/tls/")

# One source for each C library: src/os/libc.h.
include(CheckSymbolExists)
check_symbol_exists(__GLIBC__ features.h BROOD_LIBC_IS_GLIBC)
list(FILTER brood_sources EXCLUDE REGEX "/src/os/libc_")
list(APPEND brood_sources "${PROJECT_SOURCE_DIR}/src/os/libc_$<IF:$<BOOL:${BROOD_LIBC_IS_GLIBC}>,glibc,musl>.c")

find_package(Threads REQUIRED)

# What the structs look like that processes share: a digest of all headers, with which a region is marked, so that a
# library or tool of another build leaves it alone. CMake runs again when one changes.
file(GLOB layout_headers CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/*/*.h" "${PROJECT_SOURCE_DIR}/include/brood/*.h")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${layout_headers})
set(layout "${CMAKE_SIZEOF_VOID_P}")
foreach(header IN LISTS layout_headers)
    file(SHA256 "${header}" digest)
    string(APPEND layout "${digest}")
endforeach()
string(SHA256 layout "${layout}")
string(SUBSTRING "${layout}" 0 16 layout)
set_source_files_properties("${PROJECT_SOURCE_DIR}/src/region/region.c" PROPERTIES
    COMPILE_DEFINITIONS "BROOD_LAYOUT=UINT64_C(0x${layout})")

# Position independent for both: a static library ends up in plugins too. Calls between its own public functions do not
# go through the PLT; its thread-local words are one load away (the library must then be loaded at program start, or
# find room in the static TLS block, as libc's own do). And no call waits for its symbol until it is made: each forked
# child would look it up again, on pages that it would have to copy for that.
add_library(brood_objects OBJECT ${brood_sources})
set_target_properties(brood_objects PROPERTIES POSITION_INDEPENDENT_CODE ON C_VISIBILITY_PRESET hidden)
target_compile_options(brood_objects PRIVATE -ftls-model=initial-exec -fno-semantic-interposition -fno-plt)
# Machine code, for it is packed below; and each source alone: their static names are not meant to be different.
set_target_properties(brood_objects PROPERTIES INTERPROCEDURAL_OPTIMIZATION OFF UNITY_BUILD OFF)
target_compile_options(brood_objects PRIVATE -fno-lto)
# Not the including project's to be stopped by: a snprintf that is meant to cut, and what its compiler warns of anew.
target_compile_options(brood_objects PRIVATE $<$<C_COMPILER_ID:GNU>:-Wno-format-truncation>)
if(NOT PROJECT_IS_TOP_LEVEL)
    set_target_properties(brood_objects PROPERTIES COMPILE_WARNING_AS_ERROR OFF)
    target_compile_options(brood_objects PRIVATE -Wno-error)
endif()
set(soversion ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
target_compile_definitions(brood_objects PRIVATE
    BROOD_VERSION="${PROJECT_VERSION}" BROOD_SOVERSION="${soversion}")
target_include_directories(brood_objects PRIVATE "${PROJECT_SOURCE_DIR}/include" "${PROJECT_SOURCE_DIR}/src")
# A debug build tells by its log, at warning, which blocks are left at the family's end.
if(NOT BROOD_SANITIZE)
    target_compile_definitions(brood_objects PRIVATE $<$<CONFIG:Debug>:BROOD_DEBUG_BUILD>)
endif()
target_link_libraries(brood_objects PRIVATE brood_gnu)

# Until 1.0 each minor version may be another library: programs of one do not find the next.
add_library(brood SHARED)
set_target_properties(brood PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${soversion})
# It looks for libbrood_openssl beside itself first.
set_target_properties(brood PROPERTIES BUILD_WITH_INSTALL_RPATH ON INSTALL_RPATH "$ORIGIN")
set(map "${PROJECT_SOURCE_DIR}/src/brood.map")
target_link_options(brood PRIVATE "LINKER:--version-script=${map}" LINKER:--as-needed LINKER:-z,relro LINKER:-z,now)
if(NOT BROOD_SANITIZE)
    target_link_options(brood PRIVATE LINKER:-z,defs)
endif()
set_property(TARGET brood APPEND PROPERTY LINK_DEPENDS "${map}")
if(NOT BROOD_LIBC_IS_GLIBC)
    target_link_options(brood PRIVATE "LINKER:--version-script=${PROJECT_SOURCE_DIR}/src/os/libc_musl.map")
endif()

# An archive has no list of what is to be seen: the linker would let a program's own clock_now() take the place of
# brood's. So it holds one object, in which what is hidden is bound and then made local.
set(packed "${PROJECT_BINARY_DIR}/brood-packed$<CONFIG>.o")
if(CMAKE_SIZEOF_VOID_P EQUAL 4 AND CMAKE_SYSTEM_PROCESSOR MATCHES "86") # to the linker alone nobody says -m32
    set(emulation -m elf_i386 --force-group-allocation) # what sources share is then its own, and can be made local
endif()
add_custom_command(OUTPUT "${packed}"
    COMMAND "${CMAKE_LINKER}" ${emulation} -r -o "${packed}" $<TARGET_OBJECTS:brood_objects>
    COMMAND "${CMAKE_OBJCOPY}" --localize-hidden "${packed}"
    DEPENDS brood_objects $<TARGET_OBJECTS:brood_objects>
    COMMENT "Packing the library's objects as one" COMMAND_EXPAND_LISTS VERBATIM)
set_source_files_properties("${packed}" PROPERTIES GENERATED ON EXTERNAL_OBJECT ON)
add_library(brood_static STATIC "${packed}")
set_target_properties(brood_static PROPERTIES OUTPUT_NAME brood)

# For what looks inside: tests of internals, and the crash lab. Not installed, and built only for them.
add_library(brood_bare STATIC EXCLUDE_FROM_ALL $<TARGET_OBJECTS:brood_objects>)

target_sources(brood PRIVATE $<TARGET_OBJECTS:brood_objects>)
foreach(library brood brood_static brood_bare)
    set_target_properties(${library} PROPERTIES LINKER_LANGUAGE C)
    target_include_directories(${library} PUBLIC
        $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
    target_link_libraries(${library} PUBLIC Threads::Threads)
endforeach()
add_library(brood::brood ALIAS brood)
add_library(brood::brood_static ALIAS brood_static)

# libbrood_openssl: keys and TLS of connections. libbrood loads it when they are asked for (exchange/seal.h), so nobody
# links it, and it can be left out.
if(BROOD_OPENSSL)
    find_package(OpenSSL 1.1.1 COMPONENTS Crypto SSL)
endif()
if(OpenSSL_FOUND)
    file(GLOB openssl_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/tls/*.c")
    add_library(brood_openssl SHARED ${openssl_sources})
    set(map "${PROJECT_SOURCE_DIR}/src/tls.map")
    set_target_properties(brood_openssl PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${soversion}
        C_VISIBILITY_PRESET hidden LINK_DEPENDS "${map}")
    target_include_directories(brood_openssl PRIVATE "${PROJECT_SOURCE_DIR}/src")
    target_link_options(brood_openssl PRIVATE "LINKER:--version-script=${map}" LINKER:--as-needed LINKER:-z,relro)
    target_link_libraries(brood_openssl PRIVATE brood_gnu OpenSSL::SSL OpenSSL::Crypto Threads::Threads)
    if(NOT BROOD_SANITIZE)
        target_link_options(brood_openssl PRIVATE LINKER:-z,defs)
    endif()
    if(NOT PROJECT_IS_TOP_LEVEL)
        set_target_properties(brood_openssl PROPERTIES COMPILE_WARNING_AS_ERROR OFF)
        target_compile_options(brood_openssl PRIVATE -Wno-error)
    endif()
else()
    message(STATUS "libbrood_openssl is left out: connections have neither keys nor TLS")
endif()
