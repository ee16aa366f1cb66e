# cmake --install: the library with its headers and CMake package, the command, the recipes and the licence.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# libtorch stays where it is and is found there; the library lies beside the command.
set(libtorch_folder ${TORCH_INSTALL_PREFIX}/lib)
install(TARGETS lorikeet_library EXPORT LorikeetTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
set_target_properties(lorikeet_library PROPERTIES INSTALL_RPATH ${libtorch_folder})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/lorikeet DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
if(LORIKEET_COMMAND)
  set_target_properties(lorikeet PROPERTIES INSTALL_RPATH ${libtorch_folder})
  install(TARGETS lorikeet RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/recipes DESTINATION ${CMAKE_INSTALL_DATADIR}/lorikeet)
endif()
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/Lorikeet)
install(EXPORT LorikeetTargets NAMESPACE lorikeet:: DESTINATION ${package_folder})
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/LorikeetConfig.cmake.in
  ${PROJECT_BINARY_DIR}/LorikeetConfig.cmake INSTALL_DESTINATION ${package_folder})
# Until 1.0 a minor version may change the interface.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/LorikeetConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/LorikeetConfig.cmake ${PROJECT_BINARY_DIR}/LorikeetConfigVersion.cmake
  DESTINATION ${package_folder})
