#ifndef OPENMMSCORE_TESTS_SERIALIZATIONTESTING_H_
#define OPENMMSCORE_TESTS_SERIALIZATIONTESTING_H_

#include <memory>
#include <sstream>
#include <string>

#include <gtest/gtest.h>
#include <openmm/Force.h>
#include <openmm/serialization/XmlSerializer.h>

namespace OpenMMScore::testing {

inline std::string toXml(const OpenMM::Force& force) {
    std::stringstream xml;
    OpenMM::XmlSerializer::serialize<OpenMM::Force>(&force, "Force", xml);
    return xml.str();
}

/** @return the Force in a document, which must be of that type */
template <class ForceType>
std::unique_ptr<ForceType> fromXml(const std::string& xml) {
    std::stringstream stream(xml);
    std::unique_ptr<OpenMM::Force> force(OpenMM::XmlSerializer::deserialize<OpenMM::Force>(stream));
    auto* typed = dynamic_cast<ForceType*>(force.get());
    EXPECT_NE(typed, nullptr);
    if (typed != nullptr)
        force.release();
    return std::unique_ptr<ForceType>(typed);
}

} // namespace OpenMMScore::testing

#endif // OPENMMSCORE_TESTS_SERIALIZATIONTESTING_H_
