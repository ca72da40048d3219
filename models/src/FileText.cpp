#include "FileText.h"

#include <algorithm>
#include <numeric>

namespace OpenMMScore {

std::string inQuotes(std::string_view text) {
    constexpr std::size_t limit = 64;
    constexpr char digits[] = "0123456789abcdef";
    std::string result = "'";
    for (char c : text.substr(0, limit)) {
        auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x20 && byte < 0x7f)
            result += c;
        else
            (result += "\\x").append({digits[byte >> 4], digits[byte & 15]});
    }
    return result + (text.size() > limit ? "...'" : "'");
}

std::string listNames(std::span<const std::string_view> names) {
    std::string result;
    for (std::string_view name : names)
        result += (result.empty() ? "" : ", ") + inQuotes(name);
    return result;
}

/** Levenshtein's distance, row by row. */
static std::size_t editDistance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t(0));
    for (std::size_t i = 0; i < a.size(); i++) {
        std::size_t diagonal = row[0];
        row[0] = i + 1;
        for (std::size_t j = 0; j < b.size(); j++) {
            std::size_t replaced = diagonal + (a[i] != b[j]);
            diagonal = row[j + 1];
            row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
        }
    }
    return row.back();
}

std::string_view nearestName(std::string_view name, std::span<const std::string_view> known) {
    std::string_view nearest;
    // A third of the letters may be wrong; beyond that a suggestion misleads. No known name is longer
    // than 64.
    std::size_t best = name.size() > 64 ? 0 : std::max<std::size_t>(2, name.size() / 3) + 1;
    for (std::string_view candidate : known) {
        std::size_t distance = best == 0 ? 0 : editDistance(name, candidate);
        if (distance < best) {
            best = distance;
            nearest = candidate;
        }
    }
    return nearest;
}

std::string shapeText(const std::vector<std::int64_t>& shape) {
    std::string result = "[";
    for (std::size_t i = 0; i < shape.size(); i++)
        result += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
    return result + "]";
}

} // namespace OpenMMScore
