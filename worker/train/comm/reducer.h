// Sums gradients over the gang in buckets while backward is still running.
//
// When backward has made a parameter's gradient, a hook copies it into its
// bucket; a full bucket is all-reduced at once, in bucket order on every rank.
// A rank without pictures takes part with zeros. The step's loss and count of
// correct predictions travel in the last bucket, at no cost of their own.
// Source: PyTorch DDP (Li et al., VLDB 2020).
// Thread: hooks run on autograd's thread while the train thread waits in backward.
#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <vector>

#include "worker/train/comm/buckets.h"
#include "worker/train/comm/communicator.h"
#include "worker/train/tensors.h"

namespace torch::autograd {
struct Node;
}

namespace mead::train {

class Reducer {
 public:
  // parameters: those that learn, in the model's order; float32, all on one device.
  Reducer(const std::vector<at::Tensor>& parameters, int64_t bucket_bytes,
          Communicator& communicator);
  // Takes the hooks off.
  ~Reducer();
  Reducer(const Reducer&) = delete;
  Reducer& operator=(const Reducer&) = delete;

  // Before backward. figures: [kFigures], float32, this rank's part of the sums.
  static constexpr int64_t kFigures = 2;
  void Start(const at::Tensor& figures);

  // After backward (or at once, with an empty slice): all gradients are the
  // gang's sums. Returns the summed figures, a view.
  // Errors: kPeerLost.
  const at::Tensor& Finish();

 private:
  struct Live {
    at::Tensor flat;                // [size (+ kFigures)], float32
    std::vector<at::Tensor> views;  // by slot, with the parameter's strides
    size_t missing = 0;             // gradients not here yet
    std::unique_ptr<Pending> pending;
  };
  struct Place {
    size_t bucket = 0;
    size_t slot = 0;
    bool filled = false;
  };
  struct Hook {
    std::shared_ptr<torch::autograd::Node> accumulator;
    uintptr_t key = 0;
  };

  void OnGradient(size_t parameter);
  void LaunchFullBuckets();

  Communicator& communicator_;
  std::vector<at::Tensor> parameters_;
  std::vector<Bucket> plan_;
  std::vector<Live> live_;     // by bucket
  std::vector<Place> places_;  // by parameter
  at::Tensor figures_;         // [kFigures], view of the last bucket's end
  size_t next_to_launch_ = 0;
  bool started_ = false;
  std::exception_ptr failure_;  // of a hook; Finish() throws it
  std::vector<Hook> hooks_;
};

}  // namespace mead::train
