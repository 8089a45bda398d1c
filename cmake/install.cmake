# cmake --install: headers, libraries, the command, tallowConfig.cmake and tallow.pc.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/tallow)

get_property(libraries GLOBAL PROPERTY TALLOW_LIBRARIES)
install(TARGETS ${libraries} tallow_all EXPORT tallow ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT tallow NAMESPACE tallow:: FILE tallowTargets.cmake DESTINATION ${config_dir})
install(DIRECTORY include/tallow DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
if(TARGET tallow)
  install(TARGETS tallow RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

configure_package_config_file(cmake/tallowConfig.cmake.in tallowConfig.cmake
                              INSTALL_DESTINATION ${config_dir})
write_basic_package_version_file(tallowConfigVersion.cmake COMPATIBILITY SameMinorVersion)

foreach(library ${libraries})
  get_target_property(type ${library} TYPE)
  if(type STREQUAL STATIC_LIBRARY)
    string(APPEND TALLOW_PC_LIBS " -l${library}")
  endif()
endforeach()
file(RELATIVE_PATH TALLOW_PC_PREFIX /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
configure_file(cmake/tallow.pc.in tallow.pc @ONLY)

install(FILES ${PROJECT_BINARY_DIR}/tallowConfig.cmake
              ${PROJECT_BINARY_DIR}/tallowConfigVersion.cmake cmake/external.cmake
        DESTINATION ${config_dir})
install(FILES ${PROJECT_BINARY_DIR}/tallow.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
