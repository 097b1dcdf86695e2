# What `cmake --install` puts where: headers, both libraries, and what CMake (find_package(brood)) and pkg-config ask.

include(CMakePackageConfigHelpers)

install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/" DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS brood brood_static EXPORT brood-targets)
if(TARGET brood_openssl) # loaded, never linked: the name that it is loaded by is enough
    install(TARGETS brood_openssl LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} NAMELINK_SKIP)
endif()

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/brood")
install(EXPORT brood-targets NAMESPACE brood:: DESTINATION "${package_dir}")
configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/brood-config.cmake.in"
    "${PROJECT_BINARY_DIR}/brood-config.cmake" INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/brood-config-version.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/brood-config.cmake" "${PROJECT_BINARY_DIR}/brood-config-version.cmake"
    DESTINATION "${package_dir}")

# Relative to where the file lies, so that `cmake --install --prefix` may choose another place than the configuration.
file(RELATIVE_PATH BROOD_PC_TO_PREFIX "/prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/prefix")
configure_file("${PROJECT_SOURCE_DIR}/cmake/brood.pc.in" "${PROJECT_BINARY_DIR}/brood.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/brood.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
