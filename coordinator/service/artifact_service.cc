#include "coordinator/service/artifact_service.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/grpc_status.h"
#include "common/status_util.h"
#include "coordinator/service/rpc.h"

namespace mead::service {
namespace {

class UploadReactor final : public grpc::ServerReadReactor<v1::UploadArtifactRequest> {
 public:
  UploadReactor(ServiceContext& context, v1::UploadArtifactResponse* response)
      : context_(context), response_(response) {
    StartRead(&request_);
  }

  void OnReadDone(bool ok) override {
    context_.io.Run([this, ok] {
      absl::Status status = ok ? Take() : Complete();
      if (ok && status.ok()) {
        StartRead(&request_);
      } else {
        // Let go of the part first: the caller may go on with it as soon as it
        // has read the answer.
        upload_.reset();
        Finish(ToGrpc(status));
      }
    });
  }
  void OnDone() override { delete this; }

 private:
  absl::Status Take() {
    if (!upload_) {
      if (request_.digest().empty()) {
        return absl::InvalidArgumentError(
            "the first message of an upload must name the digest, the size and the offset");
      }
      const uint64_t left = request_.size_bytes() - std::min(request_.offset(),
                                                             request_.size_bytes());
      MEAD_RETURN_IF_ERROR(context_.disk.Admit(left));
      MEAD_ASSIGN_OR_RETURN(upload_, context_.artifacts.OpenUpload(request_.digest(),
                                                                   request_.size_bytes(),
                                                                   request_.offset()));
      response_->set_digest(request_.digest());
    }
    if (request_.data().size() > ArtifactServiceImpl::kChunkBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("a message holds at most ", ArtifactServiceImpl::kChunkBytes,
                       " bytes of data, not ", request_.data().size()));
    }
    return upload_->Append(request_.data());
  }

  absl::Status Complete() {
    if (!upload_) {
      return absl::InvalidArgumentError("the upload ended before its first message");
    }
    return upload_->Finish();
  }

  ServiceContext& context_;
  v1::UploadArtifactResponse* const response_;
  v1::UploadArtifactRequest request_;
  std::unique_ptr<store::ArtifactStore::Upload> upload_;
};

class DownloadReactor final : public grpc::ServerWriteReactor<v1::DownloadArtifactResponse> {
 public:
  DownloadReactor(ServiceContext& context, const v1::DownloadArtifactRequest& request)
      : context_(context),
        digest_(request.digest()),
        offset_(request.offset()),
        length_(request.length()) {
    Next();
  }

  void OnWriteDone(bool ok) override {
    if (!ok || cancelled_) {
      Finish(grpc::Status::CANCELLED);
    } else if (offset_ == end_) {
      Finish(grpc::Status::OK);
    } else {
      Next();
    }
  }
  void OnCancel() override { cancelled_ = true; }
  void OnDone() override { delete this; }

 private:
  void Next() {
    context_.io.Run([this] {
      if (const absl::Status status = ReadChunk(); status.ok()) {
        StartWrite(&response_);
      } else {
        Finish(ToGrpc(status));
      }
    });
  }

  absl::Status ReadChunk() {
    if (size_ == 0) {
      MEAD_ASSIGN_OR_RETURN(size_, context_.artifacts.SizeOf(digest_));
      const bool to_the_end = length_ == 0 || offset_ > size_ || length_ > size_ - offset_;
      end_ = to_the_end ? size_ : offset_ + length_;
    }
    MEAD_ASSIGN_OR_RETURN(
        *response_.mutable_data(),
        context_.artifacts.Read(
            digest_, offset_,
            offset_ < end_ ? std::min<uint64_t>(end_ - offset_, ArtifactServiceImpl::kChunkBytes)
                           : ArtifactServiceImpl::kChunkBytes));
    if (response_.data().empty() && offset_ < size_) {
      return absl::DataLossError(absl::StrCat(digest_, " ends at byte ", offset_, " of ", size_));
    }
    response_.set_offset(offset_);
    response_.set_size_bytes(size_);
    offset_ += response_.data().size();
    return absl::OkStatus();
  }

  ServiceContext& context_;
  const std::string digest_;
  uint64_t offset_;
  const uint64_t length_;  // asked for; 0: all
  uint64_t size_ = 0;
  uint64_t end_ = 0;
  v1::DownloadArtifactResponse response_;
  std::atomic<bool> cancelled_ = false;
};

}  // namespace

grpc::ServerUnaryReactor* ArtifactServiceImpl::StatArtifact(grpc::CallbackServerContext* call,
                                                            const v1::StatArtifactRequest* request,
                                                            v1::StatArtifactResponse* response) {
  return Answer(call, context_.io, response,
                [this, request]() -> absl::StatusOr<v1::StatArtifactResponse> {
                  MEAD_ASSIGN_OR_RETURN(const store::ArtifactStat stored,
                                        context_.artifacts.Stat(request->digest()));
                  v1::StatArtifactResponse answer;
                  answer.set_complete(stored.complete);
                  answer.set_stored_bytes(stored.stored_bytes);
                  return answer;
                });
}

grpc::ServerReadReactor<v1::UploadArtifactRequest>* ArtifactServiceImpl::UploadArtifact(
    grpc::CallbackServerContext*, v1::UploadArtifactResponse* response) {
  return new UploadReactor(context_, response);
}

grpc::ServerWriteReactor<v1::DownloadArtifactResponse>* ArtifactServiceImpl::DownloadArtifact(
    grpc::CallbackServerContext*, const v1::DownloadArtifactRequest* request) {
  return new DownloadReactor(context_, *request);
}

}  // namespace mead::service
