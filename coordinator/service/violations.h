// Gathers violations of a specification; the phrases are the same everywhere.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "coordinator/service/words.h"
#include "mead/v1/sweep.pb.h"

namespace mead::service {

class Violations {
 public:
  void Add(std::string_view field, std::string message) {
    v1::Violation violation;
    violation.set_field(std::string(field));
    violation.set_message(std::move(message));
    list_.push_back(std::move(violation));
  }

  void Append(const std::vector<v1::Violation>& others) {
    list_.insert(list_.end(), others.begin(), others.end());
  }

  // planned: words of the interface that this version does not know yet.
  void CheckWord(std::string_view field, const std::string& word,
                 const std::vector<std::string>& known,
                 const std::vector<std::string>& planned = {}) {
    if (std::find(known.begin(), known.end(), word) != known.end()) return;
    if (std::find(planned.begin(), planned.end(), word) != planned.end()) {
      Add(field, absl::StrCat("'", word, "' is not available in this version; use ",
                              OneOf(known)));
      return;
    }
    Add(field, absl::StrCat("'", word, "' is not one of ", absl::StrJoin(known, ", "),
                            DidYouMean(word, known)));
  }

  // low <= value <= high; NaN is outside.
  template <class Number>
  void CheckRange(std::string_view field, Number value, std::type_identity_t<Number> low,
                  std::type_identity_t<Number> high) {
    if (value >= low && value <= high) return;
    Add(field, absl::StrCat("must be from ", low, " to ", high, ", not ", value));
  }

  std::vector<v1::Violation> Take() { return std::move(list_); }

 private:
  std::vector<v1::Violation> list_;
};

}  // namespace mead::service
