# Debian's packages. gRPC, protobuf and abseil are linked statically: mead-trainer
# also loads LibTorch, which exports an old protobuf (toolchain decisions: ARCHITECTURE.md).

find_package(absl REQUIRED)
set(Protobuf_USE_STATIC_LIBS ON)
find_package(Protobuf REQUIRED)   # module mode: Debian ships no config
find_package(GTest CONFIG)
find_package(OpenSSL REQUIRED)
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3)
pkg_check_modules(ARCHIVE REQUIRED IMPORTED_TARGET libarchive)
pkg_check_modules(TURBOJPEG REQUIRED IMPORTED_TARGET libturbojpeg)
pkg_check_modules(PNG REQUIRED IMPORTED_TARGET libpng)
find_package(yaml-cpp REQUIRED)
find_package(prometheus-cpp CONFIG REQUIRED)
find_package(CLI11 REQUIRED)
# Debian's gRPC config names the shared libraries; these are the static ones.
set(grpc_archives "")
foreach(name grpc++_reflection grpc++ grpc gpr address_sorting upb re2)
  find_library(MEAD_LIB_${name} NAMES lib${name}.a REQUIRED)
  list(APPEND grpc_archives ${MEAD_LIB_${name}})
endforeach()
add_library(mead_grpc INTERFACE)
target_link_libraries(mead_grpc INTERFACE
  -Wl,--start-group ${grpc_archives} -Wl,--end-group protobuf::libprotobuf
  absl::status absl::statusor absl::strings absl::str_format absl::cord absl::flat_hash_map
  absl::flat_hash_set absl::inlined_vector absl::synchronization absl::time absl::random_random
  absl::optional absl::variant absl::bind_front absl::hash absl::any_invocable
  cares OpenSSL::SSL OpenSSL::Crypto z dl Threads::Threads)
find_program(MEAD_GRPC_CPP_PLUGIN grpc_cpp_plugin REQUIRED)

# OpenCV's own CMake config wants every module; core and imgproc are all we use.
find_path(MEAD_OPENCV_INCLUDE opencv2/imgproc.hpp PATH_SUFFIXES opencv4 REQUIRED)
find_library(MEAD_OPENCV_CORE opencv_core REQUIRED)
find_library(MEAD_OPENCV_IMGPROC opencv_imgproc REQUIRED)
add_library(mead_opencv INTERFACE)
target_include_directories(mead_opencv SYSTEM INTERFACE ${MEAD_OPENCV_INCLUDE})
target_link_libraries(mead_opencv INTERFACE ${MEAD_OPENCV_IMGPROC} ${MEAD_OPENCV_CORE})
