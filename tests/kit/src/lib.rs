//! Test equipment: real servers started for one test, an OCI registry with scripted faults, a sample image.
