//! Small kernel programs, assembled at run time from the running kernel's own type information (BTF): no clang, no object
//! file, no C library.
