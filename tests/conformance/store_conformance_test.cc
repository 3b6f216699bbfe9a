// What every Store must do.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "coordinator/core/step.h"
#include "coordinator/store/codec.h"
#include "coordinator/store/store.h"
#include "tests/support/memory_store.h"
#include "tests/support/sample_events.h"
#include "tests/support/temp_dir.h"

namespace mead::store {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct Implementation {
  std::string name;
  // Opens the same store each time it is called (after the last one was closed).
  std::function<std::function<std::unique_ptr<Store>()>(const testing::TempDir&)> opener;
};

class StoreConformance : public ::testing::TestWithParam<Implementation> {
 protected:
  void SetUp() override { Reopen(); }
  void Reopen() {
    store_.reset();
    store_ = open_();
    ASSERT_NE(store_, nullptr);
  }

  const testing::TempDir dir_;
  const std::function<std::unique_ptr<Store>()> open_ = GetParam().opener(dir_);
  std::unique_ptr<Store> store_;
};

TEST_P(StoreConformance, ANewStoreIsEmpty) {
  EXPECT_EQ(store_->LoadState().value(), core::ClusterState());
  EXPECT_THAT(store_->LoadCursors().value(), IsEmpty());
  EXPECT_EQ(store_->event_count(), 0u);
  EXPECT_EQ(store_->events_since_snapshot(), 0u);
  EXPECT_THAT(store_->Metrics("s-0", {}).value(), IsEmpty());
  EXPECT_THAT(store_->ConfusionEpochs("s-0").value(), IsEmpty());
  EXPECT_THAT(store_->Logs("s-0", 0, 10).value(), IsEmpty());
  EXPECT_TRUE(absl::IsNotFound(store_->Confusion("s-0", 1).status()));
}

TEST_P(StoreConformance, AReplayedJournalGivesTheSameStateByteForByte) {
  core::ClusterState state;
  for (const core::Event& event : testing::ClusterLife(5)) {
    (void)core::Step(state, event);
    ASSERT_TRUE(store_->Append({&event, 1}, {}, {}).ok());
  }
  EXPECT_EQ(EncodeState(store_->LoadState().value()), EncodeState(state));
  Reopen();
  EXPECT_EQ(EncodeState(store_->LoadState().value()), EncodeState(state));
}

TEST_P(StoreConformance, SnapshotsAnywhereChangeNothing) {
  const std::vector<core::Event> events = testing::ClusterLife(3);
  core::ClusterState state;
  for (size_t i = 0; i < events.size(); ++i) {
    (void)core::Step(state, events[i]);
    ASSERT_TRUE(store_->Append({&events[i], 1}, {}, {}).ok());
    if (i % 13 != 0) continue;
    ASSERT_TRUE(store_->SaveSnapshot(state).ok());
    EXPECT_EQ(store_->events_since_snapshot(), 0u);
    Reopen();
    ASSERT_EQ(EncodeState(store_->LoadState().value()), EncodeState(state)) << "event " << i;
  }
  Reopen();
  EXPECT_EQ(EncodeState(store_->LoadState().value()), EncodeState(state));
  EXPECT_EQ(store_->event_count(), events.size());
  EXPECT_EQ(store_->events_since_snapshot(), (events.size() - 1) % 13);
}

TEST_P(StoreConformance, OneAppendMayHoldManyEvents) {
  const std::vector<core::Event> events = testing::ClusterLife(10);
  ASSERT_TRUE(store_->Append(events, {}, {}).ok());
  core::ClusterState state;
  for (const core::Event& event : events) (void)core::Step(state, event);
  Reopen();
  EXPECT_EQ(store_->event_count(), events.size());
  EXPECT_EQ(store_->LoadState().value(), state);
}

TEST_P(StoreConformance, CursorsRiseAndCanBeForgotten) {
  ASSERT_TRUE(store_->Append({}, {}, {{"a", 1}, {"b", 7}}).ok());
  ASSERT_TRUE(store_->Append({}, {}, {{"a", 2}}).ok());
  Reopen();
  EXPECT_EQ(store_->LoadCursors().value(), (Cursors{{"a", 2}, {"b", 7}}));
  ASSERT_TRUE(store_->Append({}, {}, {{"b", 0}}).ok());
  Reopen();
  EXPECT_EQ(store_->LoadCursors().value(), (Cursors{{"a", 2}}));
}

TEST_P(StoreConformance, MetricsComeBackInOrderAndTheLaterReplaces) {
  Rows rows;
  rows.metrics = {{"s-1", 1, 2, 20, 200, "val/loss", 0.5},
                  {"s-1", 1, 1, 10, 100, "val/loss", 0.7},
                  {"s-1", 1, 1, 10, 100, "train/loss", 0.9},
                  {"s-2", 1, 1, 10, 100, "val/loss", 9.0}};
  ASSERT_TRUE(store_->Append({}, rows, {}).ok());
  const MetricRow again = {"s-1", 2, 2, 20, 300, "val/loss", 0.4};
  rows.metrics = {again};
  ASSERT_TRUE(store_->Append({}, rows, {}).ok());
  Reopen();
  EXPECT_THAT(store_->Metrics("s-1", {}).value(),
              ElementsAre(MetricRow{"s-1", 1, 1, 10, 100, "train/loss", 0.9},
                          MetricRow{"s-1", 1, 1, 10, 100, "val/loss", 0.7}, again));
  const std::vector<std::string> names = {"train/loss", "no such metric"};
  EXPECT_THAT(store_->Metrics("s-1", names).value(),
              ElementsAre(MetricRow{"s-1", 1, 1, 10, 100, "train/loss", 0.9}));
}

TEST_P(StoreConformance, ConfusionMatricesComeBackByEpoch) {
  const ConfusionRow first = {"s-1", 1, 1, {"polyps", "esophagitis"}, {3, 1, 0, 1'000'000'000'000}};
  const ConfusionRow third = {"s-1", 1, 3, {"polyps", "esophagitis"}, {4, 0, 0, 2}};
  const ConfusionRow third_again = {"s-1", 2, 3, {"polyps", "esophagitis"}, {4, 0, 1, 1}};
  Rows rows;
  rows.confusion = {third, first};
  ASSERT_TRUE(store_->Append({}, rows, {}).ok());
  rows.confusion = {third_again};
  ASSERT_TRUE(store_->Append({}, rows, {}).ok());
  Reopen();
  EXPECT_THAT(store_->ConfusionEpochs("s-1").value(), ElementsAre(1, 3));
  EXPECT_EQ(store_->Confusion("s-1", 1).value(), first);
  EXPECT_EQ(store_->Confusion("s-1", 3).value(), third_again);
  EXPECT_TRUE(absl::IsNotFound(store_->Confusion("s-1", 2).status()));
}

TEST_P(StoreConformance, LogLinesComeBackInOrderOfArrivalPageByPage) {
  const std::string odd("nul \0, not utf-8 \xff, end", 23);
  for (int i = 0; i < 10; ++i) {
    Rows rows;
    rows.logs = {{"s-1", 1, 0, 100 - i, std::to_string(i)}, {"s-2", 1, 1, 100, odd}};
    ASSERT_TRUE(store_->Append({}, rows, {}).ok());
  }
  Reopen();
  std::vector<std::string> texts;
  int64_t after = 0;
  while (true) {
    const std::vector<LogRow> page = store_->Logs("s-1", after, 3).value();
    if (page.empty()) break;
    EXPECT_LE(page.size(), 3u);
    for (const LogRow& row : page) {
      EXPECT_GT(row.id, after);
      after = row.id;
      texts.push_back(row.text);
    }
  }
  EXPECT_THAT(texts, ElementsAre("0", "1", "2", "3", "4", "5", "6", "7", "8", "9"));
  EXPECT_EQ(store_->Logs("s-2", 0, 1).value()[0].text, odd);
}

TEST_P(StoreConformance, QueriesRunBesideAppends) {
  std::jthread reader([&](std::stop_token stop) {
    size_t seen = 0;
    while (!stop.stop_requested()) {
      const absl::StatusOr<std::vector<MetricRow>> rows = store_->Metrics("s-1", {});
      ASSERT_TRUE(rows.ok()) << rows.status();
      ASSERT_GE(rows->size(), seen) << "a committed row is gone";
      // Both of a transaction, or none.
      ASSERT_EQ(rows->size() % 2, 0u);
      seen = rows->size();
    }
  });
  for (int i = 0; i < 100; ++i) {
    Rows rows;
    rows.metrics = {{"s-1", 1, i, i, 0, "a", 1.0 * i}, {"s-1", 1, i, i, 0, "b", 1.0 * i}};
    ASSERT_TRUE(store_->Append({}, rows, {}).ok());
  }
}

INSTANTIATE_TEST_SUITE_P(
    Stores, StoreConformance,
    ::testing::Values(Implementation{"Sqlite",
                                     [](const testing::TempDir& dir) {
                                       return [&dir]() -> std::unique_ptr<Store> {
                                         auto store = Store::Open(dir.path());
                                         EXPECT_TRUE(store.ok()) << store.status();
                                         return store.ok() ? *std::move(store) : nullptr;
                                       };
                                     }},
                      Implementation{"Memory",
                                     [](const testing::TempDir&) {
                                       return [disk = std::make_shared<testing::MemoryDisk>()] {
                                         return std::make_unique<testing::MemoryStore>(disk);
                                       };
                                     }}),
    [](const auto& instance) { return instance.param.name; });

}  // namespace
}  // namespace mead::store
