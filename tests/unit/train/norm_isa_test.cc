// The instruction sets' kernels against a plain loop in double precision, and which of
// them is taken.
#include <ATen/Version.h>
#include <c10/util/BFloat16.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "common/base/rng.h"
#include "tests/unit/train/guarded.h"
#include "worker/train/ops/norm_cpu.h"
#include "worker/train/ops/norm_cpu_isa.h"

namespace mead::train {
namespace {

std::vector<const NormCpuTable*> RunnableTables() {
  std::vector<const NormCpuTable*> tables;
  for (const CpuIsa isa : kCpuIsas) {
    if (CpuHas(isa)) tables.push_back(&TableOf(kNormCpuTables, isa));
  }
  return tables;
}

// A type as the tables have it: how a value is stored, and what is computed in.
struct Fp32 {
  using Stored = float;
  using A = float;
  static constexpr double kStoring = 1e-6;  // the largest relative error of a stored value
  static float From(double value) { return static_cast<float>(value); }
  static double To(float stored) { return stored; }
  static const auto& Of(const NormCpuTable& table) { return table.fp32; }
};
struct Fp64 {
  using Stored = double;
  using A = double;
  static constexpr double kStoring = 1e-14;
  static double From(double value) { return value; }
  static double To(double stored) { return stored; }
  static const auto& Of(const NormCpuTable& table) { return table.fp64; }
};
struct Bf16 {
  using Stored = Bf16Storage;
  using A = float;
  static constexpr double kStoring = 1.0 / 256;
  static Bf16Storage From(double value) { return {c10::BFloat16(static_cast<float>(value)).x}; }
  static double To(Bf16Storage stored) {
    return static_cast<float>(c10::BFloat16(stored.bits, c10::BFloat16::from_bits()));
  }
  static const auto& Of(const NormCpuTable& table) { return table.bf16; }
};

// Values on a coarse grid, so that float32 holds every intermediate result exactly:
// then rounding and fused multiply-adds cannot tell instruction sets apart, and many
// an activation is exactly zero. Or any values.
enum class Values { kExact, kAny };

template <typename Type>
struct Problem {
  using Stored = typename Type::Stored;
  using A = typename Type::A;

  Problem(int64_t rows_of, int64_t channels_of, Values values)
      : rows(rows_of), channels(channels_of) {
    Rng rng(static_cast<uint64_t>(100 * rows + channels));
    const auto draw = [&](double limit, double grid) {
      const double value = rng.Uniform(-limit, limit);
      return values == Values::kExact ? std::round(value * grid) / grid : value;
    };
    for (int64_t i = 0; i < rows * channels; ++i) {
      x.push_back(Type::From(draw(4, 8)));
      residual.push_back(Type::From(draw(4, 8)));
      dy.push_back(Type::From(draw(4, 8)));
      dy2.push_back(Type::From(draw(4, 8)));
    }
    for (int64_t i = 0; i < rows * channels / 8; ++i) {
      mask.push_back(static_cast<uint8_t>(rng.Below(256)));
    }
    for (int64_t c = 0; c < channels; ++c) {
      mean.push_back(static_cast<A>(draw(2, 8)));
      scale.push_back(static_cast<A>(draw(2, 4)));
      beta.push_back(static_cast<A>(draw(2, 8)));
      slope.push_back(static_cast<A>(draw(2, 4)));
      offset.push_back(static_cast<A>(draw(2, 8)));
    }
  }

  size_t size() const { return x.size(); }
  size_t Channel(size_t i) const { return i % static_cast<size_t>(channels); }
  double Centred(size_t i) const { return Type::To(x[i]) - static_cast<double>(mean[Channel(i)]); }
  // Before the activation, without the residual.
  double Normed(size_t i) const {
    return Centred(i) * static_cast<double>(scale[Channel(i)]) +
           static_cast<double>(beta[Channel(i)]);
  }
  bool Bit(size_t i) const { return (mask[i / 8] >> (i % 8) & 1) != 0; }

  int64_t rows, channels;
  std::vector<Stored> x, residual, dy, dy2;         // [rows, channels]
  std::vector<uint8_t> mask;                        // [rows * channels / 8]
  std::vector<A> mean, scale, beta, slope, offset;  // [channels]
};

// How the activation's gradient finds out what passed.
enum class Gate { kOpen, kFromInput, kFromMask };
constexpr Gate kGates[] = {Gate::kOpen, Gate::kFromInput, Gate::kFromMask};

template <typename Type>
class NormIsa : public ::testing::Test {
 protected:
  using Stored = typename Type::Stored;
  using A = typename Type::A;

  // f(kernels, problem) for every instruction set, number of rows and width.
  template <typename F>
  void ForAll(Values values, F&& f) {
    values_ = values;
    for (const NormCpuTable* table : RunnableTables()) {
      for (const int64_t channels : {16, 48, 64}) {
        for (int64_t rows = 0; rows <= 9; ++rows) {
          SCOPED_TRACE(std::string(table->isa) + ", " + std::to_string(rows) + " rows of " +
                       std::to_string(channels));
          f(Type::Of(*table), Problem<Type>(rows, channels, values));
          if (this->HasFailure()) return;
        }
      }
    }
  }

  // terms: of the largest sum that rounding happened in.
  void ExpectValue(double value, double expected, double relative, double terms) const {
    if (values_ == Values::kExact) {
      EXPECT_EQ(value, expected);
    } else {
      EXPECT_NEAR(value, expected, relative * std::abs(expected) + kComputing * terms);
    }
  }
  void ExpectStored(Stored value, double expected) const {
    ExpectValue(Type::To(value),
                values_ == Values::kExact ? Type::To(Type::From(expected)) : expected,
                Type::kStoring, 100);
  }
  void ExpectSum(A value, double expected) const {
    ExpectValue(static_cast<double>(value), expected, 0, 1000);
  }

  static double Gradient(const Problem<Type>& p, size_t i, Gate gate, bool fork) {
    const double sum = Type::To(p.dy[i]) + (fork ? Type::To(p.dy2[i]) : 0);
    if (gate == Gate::kFromInput) return p.Normed(i) > 0 ? sum : 0;
    return gate == Gate::kOpen || p.Bit(i) ? sum : 0;
  }

  void CheckMoments(Values values) {
    ForAll(values, [&](const auto& kernels, const Problem<Type>& p) {
      Guarded<A> sum(p.mean.size()), square_sum(p.mean.size());
      std::fill_n(sum.data(), sum.size(), A{1});
      std::fill_n(square_sum.data(), square_sum.size(), A{2});
      kernels.moments(p.x.data(), p.rows, p.channels, p.mean.data(), sum.data(), square_sum.data());
      std::vector<double> expected(p.mean.size(), 1), expected_square(p.mean.size(), 2);
      for (size_t i = 0; i < p.size(); ++i) {
        expected[p.Channel(i)] += p.Centred(i);
        expected_square[p.Channel(i)] += p.Centred(i) * p.Centred(i);
      }
      for (size_t c = 0; c < expected.size(); ++c) {
        ExpectSum(sum[c], expected[c]);
        ExpectSum(square_sum[c], expected_square[c]);
      }
      EXPECT_TRUE(sum.untouched_around() && square_sum.untouched_around());
    });
  }

  void CheckApply(Values values) {
    ForAll(values, [&](const auto& kernels, const Problem<Type>& p) {
      for (const int variant : {0, 1, 2, 3, 4, 5, 6, 7}) {
        const bool relu = (variant & 1) != 0, add = (variant & 2) != 0;
        const bool past_caches = (variant & 4) != 0;
        Guarded<Stored> y(p.size());
        Guarded<uint8_t> mask(p.mask.size());
        kernels.apply(p.x.data(), add ? p.residual.data() : nullptr, p.rows, p.channels,
                      p.mean.data(), p.scale.data(), p.beta.data(), relu, past_caches, y.data(),
                      relu && add ? mask.data() : nullptr);
        for (size_t i = 0; i < p.size(); ++i) {
          const double z = p.Normed(i) + (add ? Type::To(p.residual[i]) : 0);
          ExpectStored(y[i], relu ? std::max(z, 0.0) : z);
          if (relu && add) {
            EXPECT_EQ((mask[i / 8] >> (i % 8) & 1) != 0, z > 0) << z;
          }
        }
        EXPECT_TRUE(y.untouched_around() && mask.untouched_around());
      }
    });
  }

  void CheckBackwardSums(Values values) {
    ForAll(values, [&](const auto& kernels, const Problem<Type>& p) {
      for (const Gate gate : kGates) {
        for (const int variant : {0, 1, 2, 3}) {
          const bool fork = (variant & 1) != 0, past_caches = (variant & 2) != 0;
          Guarded<A> sum(p.mean.size()), product_sum(p.mean.size());
          std::fill_n(sum.data(), sum.size(), A{1});
          std::fill_n(product_sum.data(), product_sum.size(), A{2});
          Guarded<Stored> dz(p.size());
          kernels.backward_sums(p.dy.data(), fork ? p.dy2.data() : nullptr, p.x.data(),
                                gate == Gate::kFromMask ? p.mask.data() : nullptr, p.rows,
                                p.channels, p.mean.data(), p.scale.data(), p.beta.data(),
                                gate != Gate::kOpen, past_caches, sum.data(), product_sum.data(),
                                fork ? dz.data() : nullptr);
          std::vector<double> expected(p.mean.size(), 1), expected_product(p.mean.size(), 2);
          for (size_t i = 0; i < p.size(); ++i) {
            const double gradient = Gradient(p, i, gate, fork);
            expected[p.Channel(i)] += gradient;
            expected_product[p.Channel(i)] += gradient * p.Centred(i);
            if (fork) ExpectStored(dz[i], gradient);
          }
          for (size_t c = 0; c < expected.size(); ++c) {
            ExpectSum(sum[c], expected[c]);
            ExpectSum(product_sum[c], expected_product[c]);
          }
          EXPECT_TRUE(sum.untouched_around() && product_sum.untouched_around() &&
                      dz.untouched_around());
        }
      }
    });
  }

  void CheckBackwardApply(Values values) {
    ForAll(values, [&](const auto& kernels, const Problem<Type>& p) {
      for (const Gate gate : kGates) {
        for (const bool add : {false, true}) {
          for (const bool over_x : {false, true}) {
            Guarded<Stored> dx(p.size()), dresidual(p.size());
            if (over_x) std::copy(p.x.begin(), p.x.end(), dx.data());
            kernels.backward_apply(p.dy.data(), over_x ? dx.data() : p.x.data(),
                                   gate == Gate::kFromMask ? p.mask.data() : nullptr, p.rows,
                                   p.channels, p.mean.data(), p.scale.data(), p.beta.data(),
                                   gate != Gate::kOpen, p.slope.data(), p.offset.data(), dx.data(),
                                   add ? dresidual.data() : nullptr);
            for (size_t i = 0; i < p.size(); ++i) {
              const size_t c = p.Channel(i);
              const double dz = Gradient(p, i, gate, /*fork=*/false);
              ExpectStored(dx[i], dz * static_cast<double>(p.scale[c]) +
                                      p.Centred(i) * static_cast<double>(p.slope[c]) +
                                      static_cast<double>(p.offset[c]));
              if (add) ExpectStored(dresidual[i], dz);
            }
            EXPECT_TRUE(dx.untouched_around() && dresidual.untouched_around());
          }
        }
      }
    });
  }

 private:
  static constexpr double kComputing = sizeof(A) == 4 ? 1e-7 : 1e-16;
  Values values_ = Values::kExact;
};

using Types = ::testing::Types<Fp32, Fp64, Bf16>;
struct TypeNames {
  template <typename Type>
  static std::string GetName(int index) {
    return std::array{"Fp32", "Fp64", "Bf16"}[static_cast<size_t>(index)];
  }
};
TYPED_TEST_SUITE(NormIsa, Types, TypeNames);

TYPED_TEST(NormIsa, MomentsOfExactValuesAreExact) { this->CheckMoments(Values::kExact); }
TYPED_TEST(NormIsa, MomentsOfAnyValuesAreRoundedOnly) { this->CheckMoments(Values::kAny); }
TYPED_TEST(NormIsa, ApplyOfExactValuesIsExact) { this->CheckApply(Values::kExact); }
TYPED_TEST(NormIsa, ApplyOfAnyValuesIsRoundedOnly) { this->CheckApply(Values::kAny); }
TYPED_TEST(NormIsa, BackwardSumsOfExactValuesAreExact) { this->CheckBackwardSums(Values::kExact); }
TYPED_TEST(NormIsa, BackwardSumsOfAnyValuesAreRoundedOnly) {
  this->CheckBackwardSums(Values::kAny);
}
TYPED_TEST(NormIsa, BackwardApplyOfExactValuesIsExact) { this->CheckBackwardApply(Values::kExact); }
TYPED_TEST(NormIsa, BackwardApplyOfAnyValuesIsRoundedOnly) {
  this->CheckBackwardApply(Values::kAny);
}

// Every kind of float32, through a pass that changes nothing, into bfloat16.
TEST(NormIsaRounding, Bfloat16IsRoundedToNearestEvenAndNanStaysNan) {
  std::vector<float> values;
  for (const uint32_t high : {0x3f80U, 0x3f81U, 0xc2f7U, 0x0080U, 0x7f7fU, 0x7f80U, 0xff80U,
                              0x7fc0U, 0x7f80U, 0xff80U, 0x0000U, 0x8000U}) {
    for (const uint32_t low : {0U, 1U, 0x7fffU, 0x8000U, 0x8001U, 0xffffU}) {
      const uint32_t bits = high << 16 | low;
      if ((bits & 0x7fffffff) < 0x00800000 && low != 0) continue;  // a denormal
      float value;
      std::memcpy(&value, &bits, sizeof(value));
      values.push_back(value);
    }
  }
  values.resize((values.size() + 15) / 16 * 16);
  const auto channels = static_cast<int64_t>(values.size());
  const std::vector<Bf16Storage> x(values.size(), Bf16::From(0));
  const std::vector<float> zero(values.size(), 0.0F);
  for (const NormCpuTable* table : RunnableTables()) {
    Guarded<Bf16Storage> y(values.size());
    table->bf16.apply(x.data(), nullptr, 1, channels, zero.data(), zero.data(), values.data(),
                      /*relu=*/false, /*past_caches=*/false, y.data(), nullptr);
    for (size_t i = 0; i < values.size(); ++i) {
      if (std::isnan(values[i])) {
        EXPECT_TRUE(std::isnan(Bf16::To(y[i]))) << table->isa << ' ' << i;
      } else {
        EXPECT_EQ(Bf16::To(y[i]), Bf16::To(Bf16::From(static_cast<double>(values[i]))))
            << table->isa << ' ' << values[i];
      }
    }
  }
}

template <typename Type>
void CheckNanPasses() {
  using A = typename Type::A;
  constexpr int64_t kChannels = 16;
  const std::vector<typename Type::Stored> nan(kChannels, Type::From(NAN));
  const std::vector<typename Type::Stored> two(kChannels, Type::From(2));
  const std::vector<A> zero(kChannels, A{0}), one(kChannels, A{1});
  for (const NormCpuTable* table : RunnableTables()) {
    SCOPED_TRACE(table->isa);
    const auto& kernels = Type::Of(*table);
    Guarded<typename Type::Stored> y(kChannels), dx(kChannels), dresidual(kChannels);
    Guarded<uint8_t> mask(kChannels / 8);
    kernels.apply(nan.data(), two.data(), 1, kChannels, zero.data(), one.data(), zero.data(),
                  /*relu=*/true, /*past_caches=*/false, y.data(), mask.data());
    for (size_t i = 0; i < y.size(); ++i) EXPECT_TRUE(std::isnan(Type::To(y[i])));
    EXPECT_EQ(mask[0], 0xff);
    EXPECT_EQ(mask[1], 0xff);
    for (const uint8_t* told :
         {static_cast<const uint8_t*>(mask.data()), static_cast<const uint8_t*>(nullptr)}) {
      kernels.backward_apply(two.data(), nan.data(), told, 1, kChannels, zero.data(), one.data(),
                             zero.data(), /*relu=*/true, zero.data(), zero.data(), dx.data(),
                             dresidual.data());
      for (size_t i = 0; i < y.size(); ++i) EXPECT_EQ(Type::To(dresidual[i]), 2);
    }
  }
}

TEST(NormIsaNan, PassesReluForwardAndBackward) {
  CheckNanPasses<Fp32>();
  CheckNanPasses<Fp64>();
  CheckNanPasses<Bf16>();
}

// This program also runs with LibTorch forced down (see CMakeLists.txt).
TEST(NormIsaChoice, FollowsTheInstructionSetThatLibTorchUses) {
  const std::string isa = TableOf(kNormCpuTables, ActiveCpuIsa()).isa;
  const char* forced = std::getenv("ATEN_CPU_CAPABILITY");
  if (forced != nullptr && std::string(forced) == "default") {
    EXPECT_EQ(isa, "portable");
  } else if (forced != nullptr && std::string(forced) == "avx2") {
    if (RunnableTables().size() < 2) GTEST_SKIP() << "this CPU has no AVX2";
    EXPECT_EQ(isa, "avx2");
  } else if (at::get_cpu_capability() == "AVX512") {
    EXPECT_EQ(isa, RunnableTables().back()->isa);
  } else {
    EXPECT_EQ(isa, at::get_cpu_capability() == "AVX2" ? "avx2" : "portable");
  }
}

}  // namespace
}  // namespace mead::train
