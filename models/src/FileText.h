#ifndef OPENMMSCORE_MODELS_FILETEXT_H_
#define OPENMMSCORE_MODELS_FILETEXT_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace OpenMMScore {

/**
 * @return text from a file in quotes, fit for a message: at most 64 characters of it, printable ASCII only
 *         (others as \xNN), so that a hostile file cannot flood or rewrite a terminal
 */
std::string inQuotes(std::string_view text);

/** @return the names, quoted and separated by commas */
std::string listNames(std::span<const std::string_view> names);

/**
 * @return the known name that a misspelt one most probably means, by edit distance; empty if none is near
 */
std::string_view nearestName(std::string_view name, std::span<const std::string_view> known);

/** @return "[3, 4]" */
std::string shapeText(const std::vector<std::int64_t>& shape);

} // namespace OpenMMScore

#endif // OPENMMSCORE_MODELS_FILETEXT_H_
