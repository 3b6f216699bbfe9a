// A sweep file: YAML -> SweepSpec, with every error at once and its line and column.
//
// The keys are the protos' field names, read by reflection, so that a field added there is
// a key here. Absent keys stay absent: the server fills defaults in, and it is the server
// that judges values; here the shapes are judged, which need the file's positions.
//
// Thread: plain data and pure functions; LoadSweepFile reads the disk.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/yaml_tree.h"
#include "mead/v1/sweep.pb.h"

namespace mead::client {

struct SweepFile {
  // As the user named it, for messages.
  std::string name;
  mead::v1::SweepSpec spec;
  // The weights file, found from the sweep file's folder (named by --set: from the working
  // folder); empty when there is none.
  std::string weights_path;
  std::vector<Diagnostic> diagnostics;
  // Where each field stands, by its path: "train.batch_size", "space.optimizer.lr",
  // "train.phases[1].epochs".
  std::map<std::string, Location> locations;

  // The place of a field or of the nearest field around it.
  Location Find(const std::string& field) const;
  // True when nothing was found wrong in the field, in what it holds or in what holds it.
  bool IsSound(const std::string& field) const;
  // Adds what the server found wrong, at the places where it was written.
  void AddViolations(const mead::v1::ValidationReport& report);
  // The diagnostics in the file's order, one a line:
  // "FILE:LINE:COLUMN: FIELD: MESSAGE".
  std::string DiagnosticsText() const;
};

// name: for messages. folder: what relative paths in the file are relative to.
// sets: "key=value" assignments that replace what the file says, in order.
SweepFile ParseSweep(const std::string& name, const std::string& text, const std::string& folder,
                     const std::vector<std::string>& sets);

// path: a file, or "-" for standard input.
// Errors: NOT_FOUND (with near names in that folder) and others of reading the file; what is
//   wrong inside it is in the result's diagnostics.
[[nodiscard]] absl::StatusOr<SweepFile> LoadSweepFile(const std::string& path,
                                                      const std::vector<std::string>& sets);

}  // namespace mead::client
