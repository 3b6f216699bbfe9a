# The virtual environment that scripts/bootstrap makes: LibTorch, NCCL, the CUDA
# compiler, and the Python that runs the tests' independent references.

set(MEAD_TOOLCHAIN "$ENV{MEAD_TOOLCHAIN}" CACHE PATH
  "Virtual environment with torch, NCCL and the CUDA compiler (scripts/bootstrap makes it)")
if(NOT MEAD_TOOLCHAIN)
  execute_process(COMMAND ${PROJECT_SOURCE_DIR}/scripts/bootstrap --print-toolchain
    OUTPUT_VARIABLE MEAD_TOOLCHAIN OUTPUT_STRIP_TRAILING_WHITESPACE)
  set(MEAD_TOOLCHAIN ${MEAD_TOOLCHAIN} CACHE PATH "" FORCE)
endif()
