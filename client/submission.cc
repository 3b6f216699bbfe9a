#include "client/submission.h"

#include <filesystem>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/progress.h"
#include "client/upload.h"
#include "common/grpc_status.h"
#include "common/ids.h"
#include "common/sha256.h"
#include "common/status_util.h"

namespace mead::client {
namespace {

using ::mead::v1::SubmitSweepRequest;
using ::mead::v1::SubmitSweepResponse;
using SweepStub = ::mead::v1::SweepService::Stub;

// With errors in the file the server is asked, too, so that one run shows them all; if it
// does not answer at once, the file's own will do.
constexpr absl::Duration kSecondOpinionDeadline = absl::Seconds(2);

constexpr char kRanksPrefix[] = "resources.ranks: ";

mead::v1::ValidationReport ReportOf(const absl::Status& status) {
  mead::v1::ValidationReport report;
  if (const auto details = status.GetPayload(kStatusDetailsUrl)) {
    (void)report.ParseFromString(std::string(*details));  // foreign details: no violations
  }
  return report;
}

int PrintDiagnostics(Session& session, const SweepFile& file) {
  const size_t count = file.diagnostics.size();
  session.terminal.err << "mead: " << file.name << " has " << count
                       << (count == 1 ? " error" : " errors") << "; nothing was submitted\n"
                       << file.DiagnosticsText();
  return kExitUsage;
}

void AskSecondOpinion(Session& session, SweepFile* file) {
  const absl::StatusOr<Connection*> server = session.Server();
  if (!server.ok()) return;
  SubmitSweepRequest request;
  *request.mutable_spec() = file->spec;
  request.set_dry_run(true);
  request.set_wait_for_resources(true);
  grpc::ClientContext context;
  Connection::SetDeadline(&context, kSecondOpinionDeadline);
  SubmitSweepResponse response;
  const mead::v1::ValidationReport report =
      ReportOf(FromGrpc((*server)->sweeps().SubmitSweep(&context, request, &response)));
  // Only what concerns sound fields: the others were not read, so the server misses them.
  mead::v1::ValidationReport sound;
  for (const auto& violation : report.violations()) {
    if (file->IsSound(violation.field())) *sound.add_violations() = violation;
  }
  file->AddViolations(sound);
}

// Errors of SubmitSweep that speak of a line in the file get its place.
absl::StatusOr<int> ExplainRefusal(Session& session, const absl::Status& status, SweepFile* file) {
  const mead::v1::ValidationReport report = ReportOf(status);
  const std::string message{ToStd(status.message())};
  if (report.violations_size() > 0) {
    file->AddViolations(report);
  } else if (absl::IsNotFound(status)) {
    file->diagnostics.push_back({file->Find("dataset"), "dataset", message});
  } else if (absl::IsFailedPrecondition(status)) {
    // The server names the field in its text; here the place does.
    std::string text = message.substr(
        absl::StartsWith(message, kRanksPrefix) ? std::string(kRanksPrefix).size() : 0);
    if (!absl::StrContains(text, "wait-for-resources") &&
        !absl::StrContains(text, "wait_for_resources")) {
      absl::StrAppend(&text,
                      "; add workers, lower resources.ranks, or submit with "
                      "--wait-for-resources to queue it until they are there");
    }
    file->diagnostics.push_back({file->Find("resources.ranks"), "resources.ranks", text});
  } else {
    return status;
  }
  return PrintDiagnostics(session, *file);
}

absl::Status UploadWeights(Session& session, Connection* server, SweepFile* file) {
  ProgressLine line(session.terminal);
  MEAD_ASSIGN_OR_RETURN(const std::string digest, DigestOfFile(file->weights_path));
  const std::string phase =
      absl::StrCat("upload ", std::filesystem::path(file->weights_path).filename().string());
  MEAD_RETURN_IF_ERROR(UploadFile(
      server, file->weights_path, digest, [&](uint64_t done, uint64_t total, uint64_t resumed_at) {
        line.Update(phase, done, total, ProgressLine::Unit::kBytes, resumed_at);
      }));
  file->spec.mutable_train()->set_weights_artifact(digest);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::optional<int>> SubmitFile(Session& session, const SubmissionOptions& options,
                                              SweepFile* file, SubmitSweepResponse* response) {
  if (!file->diagnostics.empty()) {
    AskSecondOpinion(session, file);
    return PrintDiagnostics(session, *file);
  }
  MEAD_ASSIGN_OR_RETURN(Connection* const server, session.Server());
  SubmitSweepRequest request;
  request.set_request_id(RandomId("req-", 20));
  request.set_wait_for_resources(options.wait_for_resources);
  *request.mutable_spec() = file->spec;
  const auto submit = [&]() -> absl::StatusOr<std::optional<int>> {
    const absl::Status status =
        server->Call(server->sweeps(), &SweepStub::SubmitSweep, request, response);
    if (status.ok()) return std::nullopt;
    return ExplainRefusal(session, status, file);
  };
  // The spec is judged before its weights travel.
  if (options.dry_run || !file->weights_path.empty()) {
    request.set_dry_run(true);
    MEAD_ASSIGN_OR_RETURN(const std::optional<int> refused, submit());
    if (refused || options.dry_run) return refused;
    MEAD_RETURN_IF_ERROR(UploadWeights(session, server, file));
    *request.mutable_spec() = file->spec;
    request.set_dry_run(false);
  }
  return submit();
}

}  // namespace mead::client
