# What `cmake --install` puts where: headers, both libraries, what CMake (find_package(brood)) and pkg-config ask, the
# tool and the reference. In three components: runtime (what a linked program needs), development, tools.

include(CMakePackageConfigHelpers)

install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/" DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)
install(TARGETS brood brood_static EXPORT brood-targets
    LIBRARY COMPONENT runtime NAMELINK_COMPONENT development
    ARCHIVE COMPONENT development)
if(TARGET brood_openssl) # loaded, never linked: the name that it is loaded by is enough
    install(TARGETS brood_openssl LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT runtime NAMELINK_SKIP)
endif()
if(TARGET brood_tool)
    install(TARGETS brood_tool RUNTIME COMPONENT tools)
endif()
if(TARGET brood_reference)
    install(DIRECTORY "${PROJECT_BINARY_DIR}/reference/man/man3" "${PROJECT_BINARY_DIR}/reference/man/man7"
        DESTINATION ${CMAKE_INSTALL_MANDIR} COMPONENT development)
    install(DIRECTORY "${PROJECT_BINARY_DIR}/reference/html"
        DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT development)
    if(TARGET brood_tool)
        install(DIRECTORY "${PROJECT_BINARY_DIR}/reference/man/man1"
            DESTINATION ${CMAKE_INSTALL_MANDIR} COMPONENT tools)
    endif()
endif()

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/brood")
install(EXPORT brood-targets NAMESPACE brood:: DESTINATION "${package_dir}" COMPONENT development)
configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/brood-config.cmake.in"
    "${PROJECT_BINARY_DIR}/brood-config.cmake" INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/brood-config-version.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/brood-config.cmake" "${PROJECT_BINARY_DIR}/brood-config-version.cmake"
    DESTINATION "${package_dir}" COMPONENT development)

# Relative to where the file lies, so that `cmake --install --prefix` may choose another place than the configuration.
file(RELATIVE_PATH BROOD_PC_TO_PREFIX "/prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/prefix")
configure_file("${PROJECT_SOURCE_DIR}/cmake/brood.pc.in" "${PROJECT_BINARY_DIR}/brood.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/brood.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig" COMPONENT development)
