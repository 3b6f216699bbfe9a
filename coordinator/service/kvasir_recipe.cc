#include "coordinator/service/kvasir_recipe.h"

#include <algorithm>

namespace mead::service {
namespace {

// A third of the epochs for the new classifier on the frozen body, then all, the body at a tenth
// of the rate.
void FillPhases(v1::TrainConfig& config) {
  const int epochs = config.has_epochs() ? config.epochs() : 12;
  if (epochs < 2) return;
  v1::Phase& head = *config.add_phases();
  head.set_epochs(std::max(1, epochs / 3));
  head.set_freeze("body");
  v1::Phase& whole = *config.add_phases();
  whole.set_epochs(epochs - head.epochs());
  whole.add_lr_scale(0.1);
  whole.add_lr_scale(1);
}

}  // namespace

void FillKvasirRecipe(v1::TrainConfig& config) {
  if (!config.has_model()) config.set_model("resnet50");
  if (!config.has_image_size()) config.set_image_size(224);
  if (!config.has_schedule()) config.set_schedule("one_cycle");
  if (!config.has_label_smoothing()) config.set_label_smoothing(0.1);
  const bool pretrained = !config.weights().empty() || !config.weights_artifact().empty();
  // A body of random weights must not be held still.
  if (config.phases().empty() && pretrained) FillPhases(config);
  if (config.phases().empty() && !config.has_epochs()) config.set_epochs(12);
  v1::AugmentConfig& augment = *config.mutable_augment();
  // An endoscope has no up or down.
  if (!augment.has_rotate()) augment.set_rotate(180);
  if (!augment.has_flip()) augment.set_flip("both");
  if (augment.crop_scale().empty()) {
    augment.add_crop_scale(0.7);
    augment.add_crop_scale(1);
  }
  if (!augment.has_lighting()) augment.set_lighting(0.2);
}

}  // namespace mead::service
