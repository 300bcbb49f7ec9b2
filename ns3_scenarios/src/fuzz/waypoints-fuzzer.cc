// SPDX-License-Identifier: MIT

#include "memory-file.h"
#include "waypoints.h"

/// Entry point of libFuzzer: any bytes are the waypoints of two UEs, or are refused.
extern "C" int
LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size)
{
    mlb::ReadFromMemory(data, size, [](const std::string& path) {
        mlb::ReadWaypoints(path, 2, 2.0);
    });
    return 0;
}
