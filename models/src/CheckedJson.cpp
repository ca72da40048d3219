#include "CheckedJson.h"

#include <algorithm>
#include <cmath>
#include <locale>
#include <sstream>
#include <vector>

#include "FileText.h"
#include "openmmscore/models/Error.h"

namespace OpenMMScore {

using nlohmann::json;

namespace {

/** Builds the document from the parser's events, and stops the parser at the first that is not allowed. */
class CheckedBuilder : public nlohmann::json_sax<json> {
public:
    json root;
    /** Why the parser was stopped. */
    std::string problem;

    bool null() override { return add(nullptr); }
    bool boolean(bool value) override { return add(value); }
    bool number_integer(number_integer_t value) override { return add(value); }
    bool number_unsigned(number_unsigned_t value) override { return add(value); }
    bool number_float(number_float_t value, const string_t&) override { return add(value); }
    bool string(string_t& value) override { return add(std::move(value)); }
    bool binary(binary_t&) override { return stop("holds binary data"); }
    bool start_object(std::size_t) override { return open(json::object()); }
    bool start_array(std::size_t) override { return open(json::array()); }
    bool end_object() override { return close(); }
    bool end_array() override { return close(); }

    bool key(string_t& name) override {
        auto [position, isNew] = containers.back()->emplace(name, nullptr);
        if (!isNew)
            return stop("repeats the key " + inQuotes(name));
        member = &*position;
        return true;
    }

    bool parse_error(std::size_t position, const std::string& lastToken,
                     const json::exception& error) override {
        std::string at = " at byte " + std::to_string(position) + ", after " + inQuotes(lastToken);
        // The library's code for a number that overflows a double.
        constexpr int outOfRange = 406;
        return stop((error.id == outOfRange ? "holds a number that is not finite" : "is not valid JSON") +
                    at);
    }

private:
    // Far more than any model needs; bounds the memory of a document to a few hundred bytes a value.
    static constexpr std::size_t maxValues = std::size_t(1) << 20, maxDepth = 32;

    bool stop(std::string why) {
        problem = std::move(why);
        return false;
    }

    bool add(json value) {
        place(std::move(value));
        return ++numValues <= maxValues || stop("holds more than " + std::to_string(maxValues) + " values");
    }

    bool open(json empty) {
        if (containers.size() == maxDepth)
            return stop("is more than " + std::to_string(maxDepth) + " levels deep");
        json* container = place(std::move(empty));
        containers.push_back(container);
        return ++numValues <= maxValues || stop("holds more than " + std::to_string(maxValues) + " values");
    }

    bool close() {
        containers.pop_back();
        return true;
    }

    json* place(json value) {
        json* slot = &root;
        if (!containers.empty() && containers.back()->is_array()) {
            containers.back()->push_back(nullptr);
            slot = &containers.back()->back();
        }
        else if (!containers.empty())
            slot = member;
        *slot = std::move(value);
        return slot;
    }

    /** The containers around the next value; each is complete up to that value, so none of them moves. */
    std::vector<json*> containers;
    json* member = nullptr;
    std::size_t numValues = 0;
};

/** @return what a value is, for a message */
std::string describe(const json& value) {
    if (value.is_string())
        return inQuotes(value.get_ref<const std::string&>());
    if (value.is_array())
        return "an array of " + std::to_string(value.size());
    if (value.is_object())
        return "an object";
    return value.dump();
}

template <class Number>
std::string range(const char* kind, Number least, Number most) {
    std::ostringstream text;
    text.imbue(std::locale::classic());
    text << kind << " from " << least << " to " << most;
    return text.str();
}

} // namespace

json parseCheckedJson(std::string_view text, const std::string& where) {
    // The parser takes a zero byte for the end of the text and would leave unseen what follows.
    if (text.find('\0') != std::string_view::npos)
        throw ModelFileError(where + ": is not valid JSON: holds a zero byte");
    CheckedBuilder builder;
    if (!json::sax_parse(text.begin(), text.end(), &builder))
        throw ModelFileError(where + ": " + builder.problem);
    return std::move(builder.root);
}

void JsonField::fail(const std::string& what) const {
    throw ModelFileError(origin + ": " + (path.empty() ? "" : path + ": ") + what);
}

void JsonField::failExpecting(const std::string& expectation) const {
    fail("is " + describe(value) + ", expected " + expectation);
}

void JsonField::requireFields(std::span<const std::string_view> names) const {
    if (!value.is_object())
        failExpecting("an object");
    for (const auto& item : value.items()) {
        if (std::find(names.begin(), names.end(), item.key()) != names.end())
            continue;
        std::string_view nearest = nearestName(item.key(), names);
        fail("unknown field " + inQuotes(item.key()) +
             (nearest.empty() ? " (known are " + listNames(names) + ")"
                              : " (did you mean " + inQuotes(nearest) + "?)"));
    }
    for (std::string_view name : names)
        field(name.data());
}

JsonField JsonField::field(const char* name) const {
    if (!value.is_object())
        failExpecting("an object");
    std::string fieldPath = path.empty() ? name : path + "." + name;
    auto found = value.find(name);
    if (found == value.end())
        throw ModelFileError(origin + ": " + fieldPath + ": is missing");
    return {*found, origin, std::move(fieldPath)};
}

std::size_t JsonField::arraySize(std::size_t least, std::size_t most) const {
    if (!value.is_array() || value.size() < least || value.size() > most)
        failExpecting("an array of " + std::to_string(least) +
                      (least == most ? "" : " to " + std::to_string(most)));
    return value.size();
}

JsonField JsonField::element(std::size_t index) const {
    return {value[index], origin, path + "[" + std::to_string(index) + "]"};
}

std::int64_t JsonField::integer(std::int64_t least, std::int64_t most) const {
    // Unsigned ones first: those above 2^63 would turn negative.
    bool fits = value.is_number_unsigned() ? value.get<std::uint64_t>() <= std::uint64_t(INT64_MAX)
                                           : value.is_number_integer();
    std::int64_t number = fits ? value.get<std::int64_t>() : 0;
    if (!fits || number < least || number > most)
        failExpecting(range("an integer", least, most));
    return number;
}

double JsonField::number(double least, double most) const {
    double number = value.is_number() ? value.get<double>() : std::nan("");
    if (!(number >= least && number <= most))
        failExpecting(range("a number", least, most));
    return number;
}

std::string JsonField::text(std::size_t mostBytes) const {
    if (!value.is_string())
        failExpecting("a string");
    const std::string& text = value.get_ref<const std::string&>();
    if (text.size() > mostBytes)
        fail("is " + std::to_string(text.size()) + " bytes long, at most " + std::to_string(mostBytes) +
             " are allowed");
    if (std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }))
        failExpecting("a string without control characters");
    return text;
}

} // namespace OpenMMScore
