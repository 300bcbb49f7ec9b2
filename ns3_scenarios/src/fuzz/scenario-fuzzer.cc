// SPDX-License-Identifier: MIT

#include "memory-file.h"
#include "scenario.h"

/// Entry point of libFuzzer: any bytes are a scenario, or are refused.
extern "C" int
LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size)
{
    mlb::ReadFromMemory(data, size, mlb::Scenario::Read);
    return 0;
}
