# The crash lab steps through the library's instructions: none of a sanitizer's among them, every symbol bound at start.

file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/crash/*.c")
if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|i[3-6]86)$")
    message(STATUS "The crash lab is left out: it does not know this processor's registers")
elseif(sources AND NOT BROOD_SANITIZE)
    add_executable(crashlab ${sources})
    set_target_properties(crashlab PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/crash")
    target_link_libraries(crashlab PRIVATE brood_bare brood_gnu)
    target_link_options(crashlab PRIVATE LINKER:-z,now)
    add_test(NAME crashlab COMMAND crashlab --quick)
    set_tests_properties(crashlab PROPERTIES TIMEOUT 900 COST 1000)
endif()
