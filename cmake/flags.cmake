# How everything here is compiled. What builds brood as a part of itself chooses its own warnings and build type.

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)

if(PROJECT_IS_TOP_LEVEL)
    get_property(multi_config GLOBAL PROPERTY GENERATOR_IS_MULTI_CONFIG)
    if(NOT multi_config AND NOT CMAKE_BUILD_TYPE)
        set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Debug, Release, RelWithDebInfo or MinSizeRel" FORCE)
    endif()
    set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
    set(strict -Wall -Wextra -Wpedantic -Wshadow)
    add_compile_options(${strict} "$<$<COMPILE_LANGUAGE:C>:-Wvla;-Wstrict-prototypes;-Wmissing-prototypes>")
    # As the library's own sources: snprintf into a fixed buffer is meant to cut.
    add_compile_options($<$<C_COMPILER_ID:GNU>:-Wno-format-truncation>)
endif()

# A C++ compiler is looked for anew each time: it may have been installed since.
if(NOT CMAKE_CXX_COMPILER)
    unset(CMAKE_CXX_COMPILER CACHE)
endif()

# For what needs more of the system than C11 has. Empty, so that a source that says `#define _GNU_SOURCE` too says the
# same. And 32-bit machines ask of files what does not fit a long: inodes, positions.
add_library(brood_gnu INTERFACE)
target_compile_definitions(brood_gnu INTERFACE _GNU_SOURCE= _FILE_OFFSET_BITS=64)

if(BROOD_SANITIZE)
    add_compile_options(-fsanitize=${BROOD_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    add_link_options(-fsanitize=${BROOD_SANITIZE})
    add_compile_options(-Wno-maybe-uninitialized) # gcc(1): raised for nothing in instrumented code
endif()
