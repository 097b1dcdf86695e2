# The reference: manual pages and HTML, made from the public headers by docs/reference.py.

find_package(Python3 COMPONENTS Interpreter)
if(Python3_FOUND)
    file(GLOB headers CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/include/*.h" "${PROJECT_SOURCE_DIR}/include/brood/*.h")
    set(script "${PROJECT_SOURCE_DIR}/docs/reference.py")
    set(reference "${PROJECT_BINARY_DIR}/reference")
    add_custom_command(OUTPUT "${reference}/made"
        COMMAND "${CMAKE_COMMAND}" -E rm -rf "${reference}"
        COMMAND "${Python3_EXECUTABLE}" "${script}" "${PROJECT_SOURCE_DIR}" "${PROJECT_VERSION}" "${reference}"
        COMMAND "${CMAKE_COMMAND}" -E touch "${reference}/made"
        DEPENDS ${headers} "${script}" "${PROJECT_SOURCE_DIR}/inspect/main.c"
        COMMENT "Making the reference from the headers" VERBATIM)
    add_custom_target(brood_reference ALL DEPENDS "${reference}/made")
else()
    message(STATUS "The reference is left out: it is made by Python 3, which is not installed")
endif()
