# Each examples/NAME.c, and examples/hashtree/, becomes examples/NAME in the build tree, with the shared library. The
# target `examples` is all of them.

add_custom_target(examples)

function(brood_example name)
    add_executable(example_${name} ${ARGN})
    set_target_properties(example_${name} PROPERTIES
        OUTPUT_NAME ${name} RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/examples")
    target_link_libraries(example_${name} PRIVATE brood)
    add_dependencies(examples example_${name})
    if(TARGET brood_openssl) # found at run time, beside libbrood
        add_dependencies(example_${name} brood_openssl)
    endif()
endfunction()

file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/examples/*.c")
list(REMOVE_ITEM sources "${PROJECT_SOURCE_DIR}/examples/picture.c" "${PROJECT_SOURCE_DIR}/examples/loop_uv.c")
foreach(source IN LISTS sources)
    cmake_path(GET source STEM name)
    brood_example(${name} "${source}")
endforeach()

find_package(PNG)
if(PNG_FOUND)
    brood_example(picture "${PROJECT_SOURCE_DIR}/examples/picture.c")
    target_link_libraries(example_picture PRIVATE PNG::PNG)
else()
    message(STATUS "picture is left out: libpng's headers are not installed")
endif()

find_path(UV_INCLUDE uv.h)
find_library(UV_LIBRARY uv)
if(UV_INCLUDE AND UV_LIBRARY)
    brood_example(loop_uv "${PROJECT_SOURCE_DIR}/examples/loop_uv.c")
    target_include_directories(example_loop_uv SYSTEM PRIVATE "${UV_INCLUDE}")
    target_link_libraries(example_loop_uv PRIVATE brood_gnu "${UV_LIBRARY}")
else()
    message(STATUS "loop_uv is left out: libuv's headers are not installed")
endif()

file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/examples/hashtree/*.c")
if(sources)
    find_package(OpenSSL COMPONENTS Crypto)
    if(OpenSSL_FOUND)
        brood_example(hashtree ${sources})
        target_link_libraries(example_hashtree PRIVATE brood_gnu OpenSSL::Crypto)
    else()
        message(STATUS "hashtree is left out: OpenSSL's headers are not installed")
    endif()
endif()
