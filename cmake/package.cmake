# `cpack --config build/CPackConfig.cmake`: Debian packages, one of each component (cmake/install.cmake).

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME brood)
set(CPACK_PACKAGE_CONTACT "The brood authors <brood@localhost>")
set(CPACK_PACKAGE_VENDOR brood)
set(CPACK_RESOURCE_FILE_LICENSE "${PROJECT_SOURCE_DIR}/LICENSE")
set(CPACK_PACKAGE_DIRECTORY "${PROJECT_BINARY_DIR}")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL runtime development)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_ENABLE_COMPONENT_DEPENDS ON)
find_program(DPKG_SHLIBDEPS dpkg-shlibdeps)
if(DPKG_SHLIBDEPS)
    set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
endif()

set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME libbrood${soversion})
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION libs)
set(CPACK_COMPONENT_RUNTIME_DESCRIPTION "multiprocessing for C: the shared library
 brood runs functions in processes of one program that share memory, locks,
 queues and pools, and when one of those processes is killed, the others go on.")

set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libbrood-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_COMPONENT_DEVELOPMENT_DEPENDS runtime)
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION "multiprocessing for C: headers, static library and manual")

if(TARGET brood_tool) # which has what it needs of the library inside
    list(APPEND CPACK_COMPONENTS_ALL tools)
    set(CPACK_DEBIAN_TOOLS_PACKAGE_NAME brood-tools)
    set(CPACK_DEBIAN_TOOLS_PACKAGE_SECTION devel)
    set(CPACK_COMPONENT_TOOLS_DESCRIPTION "multiprocessing for C: brood ps, brood top, brood trace, brood doctor")
endif()

# A trigger has ldconfig run when the library comes and goes. (Where that goes to /usr/lib itself, CPack writes scripts
# for it too.)
set(control "${PROJECT_BINARY_DIR}/deb")
file(WRITE "${control}/triggers" "activate-noawait ldconfig\n")
file(WRITE "${control}/shlibs" "libbrood ${soversion} libbrood${soversion} (>= ${PROJECT_VERSION})\n")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_CONTROL_EXTRA "${control}/triggers" "${control}/shlibs")

include(CPack)
