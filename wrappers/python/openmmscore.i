// The SWIG module: openmmscore.plugin (proxies) over openmmscore._openmmscore (machine code).
// Every call releases the GIL (-threads), so other Python threads run on while a network is evaluated.
%module(package="openmmscore") plugin

%{
#include <sstream>

#include <OpenMM.h>
#include <openmm/serialization/XmlSerializer.h>

#include "DiffusionHandle.h"
#include "ModelHandle.h"
#include "WeightsHandle.h"
#include "openmmscore/BoltzmannTarget.h"
#include "openmmscore/MonteCarloFlowMove.h"
#include "openmmscore/ScoreForce.h"
#include "openmmscore/ScoreLangevinIntegrator.h"
%}

%include <std_string.i>

%import(module="openmm") "openmm.i"
%include "typemaps.i"

%pythoncode %{
import os
import time

import numpy
import openmm
from openmm import unit


def _integers(values, name, method):
    """Return a flat list of integers out of a list, a nested list, an array or None."""
    if values is None:
        return []
    try:
        array = numpy.asarray(values)
    except ValueError:
        array = numpy.empty(0, dtype=object)
    if array.dtype == object or (array.size and array.dtype.kind not in "iu"):
        raise openmm.OpenMMException(
            f"{method}: {name} must be integers, a list or an array of them, got {values!r:.60}")
    return array.ravel().tolist()


def _cast(cls, plain):
    """Return an object of our class for a proxy of one of OpenMM's, which hands over what it owns."""
    if isinstance(plain, cls):
        return plain
    result = cls._cast(plain)
    if plain.thisown:
        plain.thisown = False
        result.thisown = True
        plain._openmmscore_owner = result
    else:
        result._openmmscore_owner = plain
    return result
%}

// The SWIG runtime that this module shares objects through; OpenMM's own must be the same.
%constant char* swigRuntimeVersion = SWIG_RUNTIME_VERSION;

%include "model.i"
%include "diffusion.i"
%include "proposal.i"
%include "internalcoordinates.i"
%include "scoreforce.i"
%include "montecarloflowmove.i"
%include "scorelangevinintegrator.i"
%include "boltzmanntarget.i"
%include "sampling.i"
