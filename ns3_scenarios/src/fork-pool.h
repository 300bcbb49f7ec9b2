// SPDX-License-Identifier: MIT

#ifndef FORK_POOL_H
#define FORK_POOL_H

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace mlb
{

/**
 * @brief Runs pieces of work in forked copies of this process, several at once.
 *
 * A copy starts from all that the process knows and changes nothing of it. What it must not do is
 * to use what the process shares with others: sockets, and files open for writing. It never returns
 * from the work, runs no destructor, and dies with the process.
 */
class ForkPool
{
  public:
    /// What became of a piece of work.
    struct Result
    {
        std::string output; ///< what the work returned
        std::string error;  ///< why it returned nothing; empty if it did
    };

    /// Computes piece number `index` and returns the result, serialized.
    using Work = std::function<std::string(uint32_t index)>;

    /**
     * @param processes how many copies run at once, at least 1
     */
    explicit ForkPool(uint32_t processes);

    /**
     * @brief Runs all pieces of work and waits for them.
     * @param count number of pieces
     * @param timeoutS how long each may take, in s
     * @param work the work
     * @param check called every 100 ms or more often; if it throws, the copies are left to die with
     *        the process
     * @return one result a piece; a copy that dies or takes too long costs only its own
     */
    std::vector<Result> Run(uint32_t count,
                            double timeoutS,
                            const Work& work,
                            const std::function<void()>& check) const;

  private:
    using Clock = std::chrono::steady_clock;

    /// A copy that runs.
    struct Child
    {
        uint32_t index;             ///< of its piece of work
        pid_t pid;                  ///< process ID
        int pipe;                   ///< where the process reads what the copy writes
        Clock::time_point deadline; ///< when it is killed
        std::string output;         ///< received so far
    };

    /**
     * @brief Forks; the copy works, writes and exits.
     * @param index of the piece of work
     * @param work the work
     * @return the copy; its deadline is its start
     * @throws std::system_error the system refuses another process or pipe
     */
    static Child Start(uint32_t index, const Work& work);

    /**
     * @brief Waits until a copy has something to say or has used up its time, or 100 ms.
     * @param children the copies that run
     */
    static void Wait(const std::vector<Child>& children);

    /**
     * @brief Reads what a copy has written.
     * @param child the copy
     * @return whether it may write more
     */
    static bool Read(Child& child);

    /**
     * @brief Ends a copy that has closed its pipe, or whose time is over.
     * @param child the copy
     * @param isLate whether its time is over
     * @return the result
     */
    static Result Finish(Child& child, bool isLate);

    uint32_t m_processes; ///< that run at once
};

} // namespace mlb

#endif // FORK_POOL_H
