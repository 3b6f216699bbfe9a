// Whether this rank was asked to end (SIGTERM), and may save what it has trained before.
//
// While nothing is trained a SIGTERM ends the process at once, as without this.
// Thread: asked() from any; the rest belongs to the train thread.
#pragma once

namespace mead::trainer {

class YieldRequest {
 public:
  // From here on SIGTERM means this.
  static void HandleSigterm();

  // While it lives there is something to save, and a request is only taken note of; whoever
  // trains looks at asked() between steps.
  class Scope {
   public:
    Scope();
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
  };

  // Since the scope began.
  static bool asked();
};

}  // namespace mead::trainer
