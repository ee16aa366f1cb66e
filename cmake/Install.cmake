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
  # Man pages and completion scripts, which the command itself writes. A cross-compiled command cannot run here.
  if(NOT CMAKE_CROSSCOMPILING AND NOT LORIKEET_SANITIZE)
    set(shell_files ${PROJECT_BINARY_DIR}/shell)
    add_custom_command(OUTPUT ${shell_files}/written
      COMMAND lorikeet man --out ${shell_files}/man1
      COMMAND lorikeet completion bash > ${shell_files}/lorikeet
      COMMAND lorikeet completion zsh > ${shell_files}/_lorikeet
      COMMAND lorikeet completion fish > ${shell_files}/lorikeet.fish
      COMMAND lorikeet schema > ${shell_files}/recipe.schema.json
      COMMAND ${CMAKE_COMMAND} -E touch ${shell_files}/written
      DEPENDS lorikeet COMMENT "Writing man pages and completion scripts" VERBATIM)
    add_custom_target(shell_files ALL DEPENDS ${shell_files}/written)
    install(DIRECTORY ${shell_files}/man1 DESTINATION ${CMAKE_INSTALL_MANDIR} OPTIONAL)
    install(FILES ${shell_files}/lorikeet DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions OPTIONAL)
    install(FILES ${shell_files}/_lorikeet DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions OPTIONAL)
    install(FILES ${shell_files}/lorikeet.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d OPTIONAL)
    install(FILES ${shell_files}/recipe.schema.json DESTINATION ${CMAKE_INSTALL_DATADIR}/lorikeet OPTIONAL)
  endif()
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
