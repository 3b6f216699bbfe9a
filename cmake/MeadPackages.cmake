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
pkg_check_modules(WEBP REQUIRED IMPORTED_TARGET libwebp)
pkg_check_modules(TIFF REQUIRED IMPORTED_TARGET libtiff-4)
find_package(yaml-cpp REQUIRED)
find_package(prometheus-cpp CONFIG REQUIRED)
find_package(CLI11 REQUIRED)
# Debian's CMake configs name the shared libraries of abseil and gRPC; use the
# static ones that lie beside them.
get_property(absl_targets DIRECTORY PROPERTY IMPORTED_TARGETS)
list(FILTER absl_targets INCLUDE REGEX "^absl::")
foreach(target IN LISTS absl_targets)
  foreach(config NONE RELEASE RELWITHDEBINFO)
    get_target_property(shared ${target} IMPORTED_LOCATION_${config})
    string(REGEX REPLACE "\\.so[.0-9]*$" ".a" archive "${shared}")
    if(shared AND EXISTS ${archive})
      set_target_properties(${target} PROPERTIES IMPORTED_LOCATION_${config} ${archive}
        IMPORTED_SONAME_${config} "")
    endif()
  endforeach()
endforeach()
# gRPC's archives, each with what it needs, so that abseil comes after them on
# every link line: the linker drops a library that nothing before it needs.
add_library(mead_grpc INTERFACE)
set(needed_by_grpc protobuf::libprotobuf
  absl::status absl::statusor absl::strings absl::str_format absl::cord absl::flat_hash_map
  absl::flat_hash_set absl::inlined_vector absl::synchronization absl::time absl::random_random
  absl::optional absl::variant absl::bind_front absl::hash absl::any_invocable
  cares OpenSSL::SSL OpenSSL::Crypto z dl Threads::Threads)
foreach(name re2 upb address_sorting gpr grpc grpc++ grpc++_reflection)
  find_library(MEAD_LIB_${name} NAMES lib${name}.a REQUIRED)
  add_library(mead_archive_${name} STATIC IMPORTED GLOBAL)
  set_target_properties(mead_archive_${name} PROPERTIES IMPORTED_LOCATION ${MEAD_LIB_${name}})
  target_link_libraries(mead_archive_${name} INTERFACE ${needed_by_grpc})
  list(PREPEND needed_by_grpc mead_archive_${name})
  target_link_libraries(mead_grpc INTERFACE mead_archive_${name})
endforeach()
find_program(MEAD_GRPC_CPP_PLUGIN grpc_cpp_plugin REQUIRED)

# Debian's libcsv comes without a CMake config or a pkg-config file.
find_path(MEAD_CSV_INCLUDE csv.h REQUIRED)
find_library(MEAD_CSV_LIBRARY NAMES libcsv.a REQUIRED)
add_library(mead_csv INTERFACE)
target_include_directories(mead_csv SYSTEM INTERFACE ${MEAD_CSV_INCLUDE})
target_link_libraries(mead_csv INTERFACE ${MEAD_CSV_LIBRARY})

# OpenCV's own CMake config wants every module; core and imgproc are all we use.
find_path(MEAD_OPENCV_INCLUDE opencv2/imgproc.hpp PATH_SUFFIXES opencv4 REQUIRED)
find_library(MEAD_OPENCV_CORE opencv_core REQUIRED)
find_library(MEAD_OPENCV_IMGPROC opencv_imgproc REQUIRED)
add_library(mead_opencv INTERFACE)
target_include_directories(mead_opencv SYSTEM INTERFACE ${MEAD_OPENCV_INCLUDE})
target_link_libraries(mead_opencv INTERFACE ${MEAD_OPENCV_IMGPROC} ${MEAD_OPENCV_CORE})
