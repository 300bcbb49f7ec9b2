// SPDX-License-Identifier: MIT

#include "fork-pool.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <iostream>
#include <poll.h>
#include <sstream>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>

namespace mlb
{

namespace
{

/**
 * @brief Does the work of a copy and ends it, whatever happens.
 * @param index of the piece of work
 * @param work the work
 * @param pipe where the result goes
 */
[[noreturn]] void
WorkAndExit(uint32_t index, const ForkPool::Work& work, int pipe)
{
    try
    {
        const std::string output = work(index);
        for (std::size_t done = 0; done < output.size();)
        {
            const ssize_t written = write(pipe, output.data() + done, output.size() - done);
            if (written < 0 && errno != EINTR)
            {
                _exit(EXIT_FAILURE);
            }
            done += std::max<ssize_t>(written, 0);
        }
        _exit(EXIT_SUCCESS);
    }
    catch (const std::exception& error)
    {
        std::cerr << "error: " << error.what() << std::endl;
        _exit(EXIT_FAILURE);
    }
}

} // namespace

ForkPool::ForkPool(uint32_t processes)
    : m_processes(std::max(processes, 1U))
{
}

std::vector<ForkPool::Result>
ForkPool::Run(uint32_t count,
              double timeoutS,
              const Work& work,
              const std::function<void()>& check) const
{
    constexpr double LONGEST_S = 1e6;
    const auto limit = std::chrono::duration<double>(std::min(timeoutS, LONGEST_S));
    std::vector<Result> results(count);
    std::vector<Child> children;
    for (uint32_t next = 0; next < count || !children.empty();)
    {
        for (; next < count && children.size() < m_processes; ++next)
        {
            try
            {
                children.push_back(Start(next, work));
                children.back().deadline += std::chrono::duration_cast<Clock::duration>(limit);
            }
            catch (const std::system_error& error)
            {
                results[next].error = error.what();
            }
        }
        Wait(children);
        check();
        const auto now = Clock::now();
        std::erase_if(children, [now, &results](Child& child) {
            const bool isOpen = Read(child);
            const bool isLate = isOpen && now >= child.deadline;
            if (!isOpen || isLate)
            {
                results[child.index] = Finish(child, isLate);
            }
            return !isOpen || isLate;
        });
    }
    return results;
}

ForkPool::Child
ForkPool::Start(uint32_t index, const Work& work)
{
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0)
    {
        throw std::system_error(errno, std::generic_category(), "cannot make a pipe");
    }
    // What is buffered now would otherwise be written by both.
    std::cout.flush();
    std::fflush(nullptr);
    const pid_t parent = getpid();
    const pid_t pid = fork();
    if (pid == 0)
    {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) // it died before the line above
        {
            _exit(EXIT_FAILURE);
        }
        close(ends[0]);
        WorkAndExit(index, work, ends[1]);
    }
    const int error = errno;
    close(ends[1]);
    if (pid < 0)
    {
        close(ends[0]);
        throw std::system_error(error, std::generic_category(), "cannot fork");
    }
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    return {index, pid, ends[0], Clock::now(), {}};
}

void
ForkPool::Wait(const std::vector<Child>& children)
{
    if (children.empty())
    {
        return;
    }
    std::vector<pollfd> pipes;
    auto deadline = Clock::time_point::max();
    for (const Child& child : children)
    {
        pipes.push_back({child.pipe, POLLIN, 0});
        deadline = std::min(deadline, child.deadline);
    }
    constexpr int64_t LONGEST_MS = 100;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    poll(pipes.data(), pipes.size(), static_cast<int>(std::clamp<int64_t>(left, 0, LONGEST_MS)));
}

bool
ForkPool::Read(Child& child)
{
    std::array<char, 65536> buffer;
    while (true)
    {
        const ssize_t bytes = read(child.pipe, buffer.data(), buffer.size());
        if (bytes <= 0)
        {
            return bytes < 0 && (errno == EAGAIN || errno == EINTR);
        }
        child.output.append(buffer.data(), bytes);
    }
}

ForkPool::Result
ForkPool::Finish(Child& child, bool isLate)
{
    close(child.pipe);
    if (isLate)
    {
        kill(child.pid, SIGKILL);
    }
    int status = 0;
    while (waitpid(child.pid, &status, 0) < 0 && errno == EINTR)
    {
    }
    std::ostringstream error;
    if (isLate)
    {
        error << "was not done in time";
    }
    else if (WIFSIGNALED(status))
    {
        error << "ended by signal " << WTERMSIG(status) << " (" << strsignal(WTERMSIG(status))
              << ")";
    }
    else if (WEXITSTATUS(status) != 0)
    {
        error << "ended with exit code " << WEXITSTATUS(status);
    }
    else
    {
        return {std::move(child.output), {}};
    }
    return {{}, error.str()};
}

} // namespace mlb
