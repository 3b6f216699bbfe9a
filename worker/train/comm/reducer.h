// Collects gradients in buckets and sums them over the gang while backward is
// still running.
//
// Backward hands each gradient over as it is made; a hook adds it to its place in
// a bucket, cast to float32 and looked at on the way, and keeps nothing else of it. During the
// last of a step's passes, a bucket that has all its gradients is all-reduced at
// once, in bucket order on every rank. A rank without pictures takes part with
// zeros. A few figures of the step travel in the last bucket, at no cost of their own.
//
// With a fixed order of summation, passes are kept apart and summed as a binary
// tree over all ranks' passes: the sum has the same bits however the passes are
// dealt out, as long as each rank has the same number of them, a power of two.
// Nothing then travels before the last pass has ended.
//
// Buckets may travel as bfloat16: a rank's passes are still added in float32, rounded
// once for the way, and what comes back is held in float32 again. The figures, counts
// among them, then travel apart and last, so that they are never rounded.
//
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
  struct Parameter {
    at::Tensor leaf;   // where gradients arrive: float32 or bfloat16
    at::Tensor owner;  // whose .grad() is the sum afterwards: float32; often the leaf itself
  };
  struct Options {
    int64_t bucket_bytes = 0;  // of float32 gradients
    int64_t figures = 0;       // how many
    // Which of them becomes 1 when a gradient of this rank is not finite.
    int64_t not_finite_figure = 0;
    bool fixed_order = false;
    // Of the buckets: float32, or without a fixed order bfloat16. A gang of one sends
    // nothing, so it rounds nothing.
    at::ScalarType wire = at::kFloat;
  };
  // parameters: those that learn, in the model's order, all on one device.
  Reducer(std::vector<Parameter> parameters, const Options& options, Communicator& communicator);
  // Takes the hooks off.
  ~Reducer();
  Reducer(const Reducer&) = delete;
  Reducer& operator=(const Reducer&) = delete;

  // A step is: Start, then for each pass StartPass, backward (or nothing, without
  // pictures), EndPass; then Finish.
  void Start(int passes);
  // figures: [figures], float32: this pass's part of the sums.
  void StartPass(const at::Tensor& figures);
  void EndPass();
  // All gradients are the gang's sums, and the owners' .grad() are views of the
  // buckets. Returns the summed figures, a view.
  // Errors: kPeerLost.
  const at::Tensor& Finish();

  // The buckets without the figures: all gradients in a few dense tensors.
  const std::vector<at::Tensor>& gradients() const { return gradients_; }

 private:
  struct Live {
    at::Tensor flat;                // [size (+ figures, if they travel in it)], float32
    at::Tensor wire;                // [size], bfloat16: what travels; or flat itself
    std::vector<at::Tensor> views;  // by slot, with the parameter's strides
    size_t missing = 0;             // gradients of this pass that are not here yet
    std::unique_ptr<Pending> pending;
  };
  struct Place {
    size_t bucket = 0;
    size_t slot = 0;
    bool filled = false;  // since the bucket was last begun
  };
  struct Hook {
    std::shared_ptr<torch::autograd::Node> accumulator;
    uintptr_t key = 0;
  };
  using Flats = std::vector<at::Tensor>;  // one per bucket

  bool rounds() const { return options_.wire != at::kFloat; }
  void OnGradient(size_t parameter);
  void FillMissing();
  void LaunchFullBuckets();
  void PushOntoTree();
  void SumTreeOverRanks();

  Communicator& communicator_;
  const Options options_;  // wire: what is used
  std::vector<Parameter> parameters_;
  std::vector<Bucket> plan_;
  std::vector<Live> live_;     // by bucket
  std::vector<Place> places_;  // by parameter
  at::Tensor figures_;         // [figures], float32: view of the last bucket's end, or apart
  at::Tensor not_finite_;      // [], view of one of them
  std::unique_ptr<Pending> figures_pending_;  // of those apart
  std::vector<at::Tensor> gradients_;
  int passes_ = 0;
  int pass_ = 0;  // the one under way, from 0
  size_t next_to_launch_ = 0;
  bool in_pass_ = false;
  std::exception_ptr failure_;  // of a hook; EndPass() throws it
  std::vector<Flats> tree_;     // sums of 2^i passes at i, or nothing
  std::vector<Hook> hooks_;
};

}  // namespace mead::train
