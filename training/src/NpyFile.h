#ifndef OPENMMSCORE_TRAINING_NPYFILE_H_
#define OPENMMSCORE_TRAINING_NPYFILE_H_

#include <cstdint>
#include <string>
#include <vector>

namespace OpenMMScore {

/** An array of float16, float32 or float64 numbers, in C order, from a file of NumPy's .npy format (versions
 * 1 to 3).
 */
struct NpyFile {
    std::vector<std::int64_t> shape;
    std::vector<double> values;
    /** Of the whole file, 64 lower-case hexadecimal digits. */
    std::string sha256;

    /**
     * @throws Error  if the file is missing, damaged or holds something else; the sentence says what
     */
    static NpyFile read(const std::string& path);
};

/** @return 64 lower-case hexadecimal digits */
std::string sha256Of(const std::string& bytes);

} // namespace OpenMMScore

#endif // OPENMMSCORE_TRAINING_NPYFILE_H_
