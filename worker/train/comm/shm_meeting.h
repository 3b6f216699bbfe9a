// How ranks find that they are on one host, and come to share a segment.
//
//   all ranks        tell their host through the store, and read the others'
//   rank 0           makes the segment, and a Unix socket whose name it tells
//   other ranks      connect, and tell whether they could
//   rank 0           passes the segment's descriptor over each connection
//   all ranks        map it, tell whether they could, and read the others' word
//
// Every rank reads the same words, so all share or none does. What counts is that
// the descriptor arrived: ranks in two containers of one host may have the same
// kernel and still not reach one another. The sockets have names in the abstract
// name space, so no file is left behind, and they stay open afterwards: the kernel
// closes them when a process ends in whatever way, which is how the others know.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "worker/train/comm/communicator.h"
#include "worker/train/comm/descriptor.h"
#include "worker/train/comm/rendezvous.h"
#include "worker/train/comm/shm_segment.h"

namespace mead::train {

struct ShmMeeting {
  struct Link {
    int rank = 0;  // at the other end
    Descriptor socket;
  };

  std::unique_ptr<ShmSegment> segment;  // nullptr on every rank, or on none
  std::vector<Link> links;              // of rank 0: to all others; of others: to rank 0
  std::string why_not;                  // if there is no segment
};

// All ranks call it, those too that are told to use another transport.
// Errors: kPeerLost (the store is gone, or a rank did not come in time).
ShmMeeting MeetOnOneHost(const CommunicatorOptions& options, RendezvousStore& store);

}  // namespace mead::train
