# The tool `brood`: inspect/. It knows the library's structs, so it is of the same build, and has what it needs of it
# inside.

set(CURSES_NEED_NCURSES ON)
if(BROOD_CURSES)
    find_package(Curses QUIET)
endif()
file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/inspect/*.c")
if(CURSES_FOUND)
    list(FILTER sources EXCLUDE REGEX "/screen_plain\\.c$")
else()
    list(FILTER sources EXCLUDE REGEX "/screen\\.c$")
    message(STATUS "ncurses is left out: `brood top` prints, and does not fill the terminal")
endif()
add_executable(brood_tool ${sources})
set_target_properties(brood_tool PROPERTIES
    OUTPUT_NAME brood RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/inspect")
target_include_directories(brood_tool PRIVATE "${PROJECT_SOURCE_DIR}/src")
target_link_libraries(brood_tool PRIVATE brood_bare brood_gnu)
if(CURSES_FOUND)
    target_include_directories(brood_tool SYSTEM PRIVATE ${CURSES_INCLUDE_DIRS})
    target_link_libraries(brood_tool PRIVATE ${CURSES_LIBRARIES})
endif()
