# How every target of this project is compiled: all of them link lorikeet_compile_options, privately.
add_library(lorikeet_compile_options INTERFACE)
target_compile_options(lorikeet_compile_options INTERFACE
  # For the programs too: they share the library's precompiled header, which must be compiled with the same options.
  -fPIC
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor)
if(LORIKEET_WARNINGS_AS_ERRORS)
  target_compile_options(lorikeet_compile_options INTERFACE -Werror)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(lorikeet_compile_options INTERFACE -fpch-preprocess)  # for ccache
  if(CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # False alarms on std::string in GCC 12 (GCC bug 105651).
    target_compile_options(lorikeet_compile_options INTERFACE -Wno-restrict)
  endif()
endif()
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  # False alarms: libstdc++ 12's own stable_sort calls std::get_temporary_buffer, which clang knows to be deprecated.
  target_compile_options(lorikeet_compile_options INTERFACE -Wno-deprecated-declarations)
endif()
# at::parallel_for is a template in libtorch's headers: compiled without OpenMP, it is a serial loop. Clang would add
# its own OpenMP runtime to libtorch's libgomp, with a second pool of threads. ThreadSanitizer does not know libgomp's
# barriers, so kernels/parallel.h uses std::thread there.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND NOT LORIKEET_SANITIZE STREQUAL "thread")
  target_compile_options(lorikeet_compile_options INTERFACE -fopenmp)
  # The libgomp that libtorch loads, so that there is one pool of threads.
  file(GLOB libtorch_gomp ${TORCH_INSTALL_PREFIX}/lib/libgomp*.so*)
  if(NOT libtorch_gomp)
    set(libtorch_gomp -fopenmp)
  endif()
  target_link_libraries(lorikeet_libtorch INTERFACE ${libtorch_gomp})
elseif(NOT CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND NOT LORIKEET_FUZZ)
  message(WARNING "${CMAKE_CXX_COMPILER_ID}: kernels of this project run on one thread. g++ builds them with OpenMP.")
endif()
if(LORIKEET_SANITIZE STREQUAL "address")
  target_compile_options(lorikeet_compile_options INTERFACE
    -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  target_link_options(lorikeet_compile_options INTERFACE -fsanitize=address,undefined)
elseif(LORIKEET_SANITIZE STREQUAL "thread")
  target_compile_options(lorikeet_compile_options INTERFACE -fsanitize=thread -fno-omit-frame-pointer)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # libtorch's headers have a fence for Python's reference counts, which ThreadSanitizer does not model.
    target_compile_options(lorikeet_compile_options INTERFACE -Wno-tsan)
  endif()
  target_link_options(lorikeet_compile_options INTERFACE -fsanitize=thread)
elseif(LORIKEET_SANITIZE)
  message(FATAL_ERROR "LORIKEET_SANITIZE: got ${LORIKEET_SANITIZE}, expected address, thread or nothing.")
endif()
if(LORIKEET_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR
      "LORIKEET_FUZZ: got ${CMAKE_CXX_COMPILER_ID}, expected clang, which brings libFuzzer. Use the preset fuzz.")
  endif()
  target_compile_options(lorikeet_compile_options INTERFACE
    -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  target_link_options(lorikeet_compile_options INTERFACE -fsanitize=address,undefined)
endif()
