// SPDX-License-Identifier: MIT

/**
 * @file
 * mlb-lte-test: runs the test suites of the simulator's classes; --help lists the options.
 */

#include "ns3/test.h"

int
main(int argc, char* argv[])
{
    return ns3::TestRunner::Run(argc, argv);
}
