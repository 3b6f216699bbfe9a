# LibTorch from its Python wheel, as an imported target of our own.
#
# Not find_package(Torch): its CMake files look for a full CUDA toolkit and an
# installed GPU. The wheels hold no plain .so links, so libraries are named in full.

file(GLOB MEAD_SITE_PACKAGES ${MEAD_TOOLCHAIN}/lib/python3*/site-packages
  ${MEAD_TOOLCHAIN}/lib/python3*/dist-packages)
list(FILTER MEAD_SITE_PACKAGES INCLUDE REGEX "packages$")
set(site "")
foreach(candidate IN LISTS MEAD_SITE_PACKAGES)
  if(EXISTS ${candidate}/torch/lib/libtorch_cpu.so)
    set(site ${candidate})
  endif()
endforeach()
if(NOT site)
  message(FATAL_ERROR "No LibTorch under '${MEAD_TOOLCHAIN}'. Run scripts/bootstrap, or set "
    "-DMEAD_TOOLCHAIN to a Python prefix that has torch 2.11.0.")
endif()
set(MEAD_SITE_PACKAGES ${site} CACHE INTERNAL "")

if(MEAD_CUDA)
  if(NOT CMAKE_CUDA_COMPILER AND EXISTS ${site}/nvidia/cu13/bin/nvcc)
    set(CMAKE_CUDA_COMPILER ${site}/nvidia/cu13/bin/nvcc)
  endif()
  set(CMAKE_CUDA_ARCHITECTURES 80-real 90 CACHE STRING "")
  set(CMAKE_CUDA_STANDARD 20)
  set(CMAKE_CUDA_RUNTIME_LIBRARY None)
  # The wheel's nvcc looks for its libraries in lib64, and the wheels have lib.
  if(EXISTS ${site}/nvidia/cu13/lib/libcudadevrt.a)
    set(ENV{LIBRARY_PATH} "${site}/nvidia/cu13/lib:$ENV{LIBRARY_PATH}")
    link_directories(${site}/nvidia/cu13/lib)
  endif()
  enable_language(CUDA)
  # CMake 3.25 knows no C++20 flag of nvcc.
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=gnu++20)
endif()

# The runtime's headers include the compiler's (crt/), which only some installs of
# the wheels hold; then the toolkit's own are taken, before theirs.
set(toolkit_include "")
if(MEAD_CUDA AND NOT EXISTS ${site}/nvidia/cu13/include/crt/host_config.h)
  set(toolkit_include ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES})
endif()
add_library(mead_torch INTERFACE)
target_include_directories(mead_torch SYSTEM INTERFACE
  ${site}/torch/include ${site}/torch/include/torch/csrc/api/include ${toolkit_include}
  ${site}/nvidia/cu13/include ${site}/nvidia/nccl/include)
target_compile_definitions(mead_torch INTERFACE USE_DISTRIBUTED USE_C10D_GLOO)
# at::parallel_for is a template: without OpenMP here it runs its body on one thread,
# and says nothing. The wheel's own runtime is linked, so that there is one of it.
target_compile_options(mead_torch INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fopenmp>)
if(EXISTS ${site}/torch/lib/libgomp.so.1)
  target_link_libraries(mead_torch INTERFACE ${site}/torch/lib/libgomp.so.1)
else()
  target_link_libraries(mead_torch INTERFACE gomp)
endif()
# LibTorch holds Gloo but not its headers; a GPU machine may lack them.
find_path(MEAD_GLOO_INCLUDE gloo/context.h)
if(MEAD_GLOO_INCLUDE)
  target_compile_definitions(mead_torch INTERFACE MEAD_HAVE_GLOO)
elseif(NOT MEAD_TRAIN_ONLY)
  message(FATAL_ERROR "No Gloo headers: install libgloo-dev (scripts/bootstrap does)")
endif()
target_link_libraries(mead_torch INTERFACE
  -Wl,--no-as-needed
  ${site}/torch/lib/libtorch_cpu.so ${site}/torch/lib/libtorch_cuda.so
  ${site}/torch/lib/libc10.so ${site}/torch/lib/libc10_cuda.so
  -Wl,--as-needed
  ${site}/nvidia/cu13/lib/libcudart.so.13 ${site}/nvidia/nccl/lib/libnccl.so.2
  Threads::Threads)
# CMake adds the folders of these to the build's run path, and drops them at install.
target_link_options(mead_torch INTERFACE -Wl,-rpath-link,${site}/torch/lib)
if(MEAD_CUDA)
  target_compile_definitions(mead_torch INTERFACE USE_C10D_NCCL MEAD_HAVE_CUDA)
endif()
