// SPDX-License-Identifier: MIT

#ifndef INPUT_ERROR_H
#define INPUT_ERROR_H

#include <stdexcept>
#include <string>

namespace mlb
{

/**
 * @brief What a user gave us is wrong: a file, a field or an action. Ends the program with code 2.
 */
class InputError : public std::runtime_error
{
  public:
    /**
     * @param field path of the field, such as "radio.dl_bandwidth_rb"
     * @param what what is wrong with it
     * @param cure what the user can do about it
     */
    InputError(const std::string& field, const std::string& what, const std::string& cure)
        : std::runtime_error(field + ": " + what + "; cure: " + cure)
    {
    }
};

} // namespace mlb

#endif // INPUT_ERROR_H
