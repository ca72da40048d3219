#ifndef OPENMMSCORE_MODELS_CHECKEDJSON_H_
#define OPENMMSCORE_MODELS_CHECKEDJSON_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

namespace OpenMMScore {

/**
 * Parse JSON from a stranger: at most 32 levels deep and 2^20 values, no key twice in an object, every number
 * a finite double or a 64-bit integer.
 *
 * @param where  what the text is, "model.safetensors: header", for the message
 * @throws ModelFileError  if the text is anything else
 */
nlohmann::json parseCheckedJson(std::string_view text, const std::string& where);

/**
 * A value inside a parsed document together with its path, so that every complaint says
 * "model.safetensors: experts[1].interval: ...". Refers to the document and the origin, which must outlive
 * it.
 */
class JsonField {
public:
    JsonField(const nlohmann::json& value, const std::string& origin, std::string path = "")
        : value(value), origin(origin), path(std::move(path)) {}

    /** @throws ModelFileError  always: "<origin>: <path>: <what>" */
    [[noreturn]] void fail(const std::string& what) const;
    /** Fail with "is <the value>, expected <expectation>". */
    [[noreturn]] void failExpecting(const std::string& expectation) const;

    /** Check that this is an object with all of these fields and no other. */
    void requireFields(std::span<const std::string_view> names) const;
    bool has(const char* name) const { return value.is_object() && value.contains(name); }
    /** @return a field of this object; fails if it is missing */
    JsonField field(const char* name) const;
    /** @return the length of this array; fails if it is none, or its length is outside the bounds */
    std::size_t arraySize(std::size_t least, std::size_t most) const;
    JsonField element(std::size_t index) const;

    /** @return this integer; fails if it is none (1.0 is none) or lies outside [least, most] */
    std::int64_t integer(std::int64_t least, std::int64_t most) const;
    /** @return this number; fails if it is none or lies outside [least, most] */
    double number(double least, double most) const;
    /** @return this string; fails if it is none, is too long or holds control characters */
    std::string text(std::size_t mostBytes) const;

    const nlohmann::json& json() const { return value; }

private:
    const nlohmann::json& value;
    const std::string& origin;
    std::string path;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_MODELS_CHECKEDJSON_H_
