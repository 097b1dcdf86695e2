# The library, compiled once and packed twice: libbrood.so.0 and libbrood.a.

file(GLOB brood_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/*/*.c")

find_package(Threads REQUIRED)

# Position independent for both: a static library ends up in plugins too. Calls between its own public functions do not
# go through the PLT; its thread-local words are one load away (the library must then be loaded at program start, or
# find room in the static TLS block, as libc's own do).
add_library(brood_objects OBJECT ${brood_sources})
set_target_properties(brood_objects PROPERTIES POSITION_INDEPENDENT_CODE ON C_VISIBILITY_PRESET hidden)
target_compile_options(brood_objects PRIVATE -ftls-model=initial-exec -fno-semantic-interposition)
target_compile_definitions(brood_objects PRIVATE BROOD_VERSION="${PROJECT_VERSION}")
target_include_directories(brood_objects PRIVATE "${PROJECT_SOURCE_DIR}/include" "${PROJECT_SOURCE_DIR}/src")
target_link_libraries(brood_objects PRIVATE brood_gnu)

add_library(brood SHARED)
set_target_properties(brood PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})
set(map "${PROJECT_SOURCE_DIR}/src/brood.map")
target_link_options(brood PRIVATE "LINKER:--version-script=${map}" LINKER:--as-needed LINKER:-z,relro LINKER:-z,now)
if(NOT BROOD_SANITIZE)
    target_link_options(brood PRIVATE LINKER:-z,defs)
endif()
set_property(TARGET brood APPEND PROPERTY LINK_DEPENDS "${map}")

add_library(brood_static STATIC)
set_target_properties(brood_static PROPERTIES OUTPUT_NAME brood)

foreach(library brood brood_static)
    target_sources(${library} PRIVATE $<TARGET_OBJECTS:brood_objects>)
    set_target_properties(${library} PROPERTIES LINKER_LANGUAGE C)
    target_include_directories(${library} PUBLIC
        $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
    target_link_libraries(${library} PUBLIC Threads::Threads)
    add_library(brood::${library} ALIAS ${library})
endforeach()
