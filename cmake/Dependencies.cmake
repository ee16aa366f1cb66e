# Third-party libraries. docs/dependencies.md says why each is here.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
if(LORIKEET_COMMAND)
  find_package(CLI11 REQUIRED)
endif()
find_package(nlohmann_json REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(LibArchive REQUIRED)
find_package(CURL REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_package(ZLIB REQUIRED)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(LIBJPEG REQUIRED IMPORTED_TARGET libjpeg)
pkg_check_modules(SPNG REQUIRED IMPORTED_TARGET spng)
pkg_check_modules(WEBP REQUIRED IMPORTED_TARGET libwebp libwebpdemux)
pkg_check_modules(TIFF REQUIRED IMPORTED_TARGET "libtiff-4>=4.5")
pkg_check_modules(HIGHWAY REQUIRED IMPORTED_TARGET libhwy)
find_package(GIF REQUIRED)
find_path(PROTOZERO_INCLUDE_DIR protozero/pbf_builder.hpp REQUIRED)
add_library(lorikeet_protozero INTERFACE)
target_include_directories(lorikeet_protozero SYSTEM INTERFACE ${PROTOZERO_INCLUDE_DIR})

# libtorch: CMAKE_PREFIX_PATH first, then a torch that python3 can import. scripts/ install one when there is neither.
find_package(Torch CONFIG QUIET)
if(NOT Torch_FOUND)
  execute_process(
    COMMAND python3 -c "import torch; print(torch.utils.cmake_prefix_path)"
    OUTPUT_VARIABLE importable_torch OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  find_package(Torch CONFIG QUIET PATHS "${importable_torch}")
endif()
if(NOT Torch_FOUND)
  message(FATAL_ERROR
    "libtorch: found neither in CMAKE_PREFIX_PATH nor as a Python package, expected version 2.11 to 2.15. "
    "Run ./scripts/test or ./scripts/demo, which install it, or pass "
    "-DCMAKE_PREFIX_PATH=\"$(python3 -c 'import torch; print(torch.utils.cmake_prefix_path)')\".")
endif()

string(REGEX MATCH "^[0-9]+\\.[0-9]+" libtorch_version "${Torch_VERSION}")
if(libtorch_version VERSION_LESS 2.11 OR libtorch_version VERSION_GREATER 2.15)
  message(FATAL_ERROR
    "libtorch in ${TORCH_INSTALL_PREFIX}: got version ${Torch_VERSION}, expected 2.11 to 2.15. "
    "Name another with -DCMAKE_PREFIX_PATH=...")
endif()
message(STATUS "libtorch ${Torch_VERSION} in ${TORCH_INSTALL_PREFIX}")

# What the directories that touch tensors link: the library, its headers as system headers.
add_library(lorikeet_libtorch INTERFACE)
target_include_directories(lorikeet_libtorch SYSTEM INTERFACE ${TORCH_INCLUDE_DIRS})
target_link_libraries(lorikeet_libtorch INTERFACE ${TORCH_LIBRARIES})
