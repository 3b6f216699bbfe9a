// The directory of a zip archive whose entries are stored uncompressed, as torch.save
// writes it: which entry's bytes lie where. Nothing is unpacked.
//
// Format: entries with local headers, then the central directory, then its end record;
//         with or without zip64's larger sizes. Sizes are the central directory's, as
//         torch.save leaves those of local headers empty.
// Limits: a central directory of 16 MiB. Entries lie within the file, in front of the
//         directory, and do not overlap.
// Checksums are not compared: torch.save can be told to leave them out, and the file's
// SHA-256 has been compared on its way here.
// Source: PKWARE, APPNOTE.TXT 6.3.10, 4.3.
// Errors: TrainError (kUserError) naming the file and the byte.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "worker/train/state/byte_source.h"

namespace mead::train {

struct ZipEntry {
  int64_t begin = 0;  // bytes from the start of the file
  int64_t bytes = 0;
};

// By name.
std::map<std::string, ZipEntry> ReadZipDirectory(const ByteSource& source);

}  // namespace mead::train
