"""Shared libraries that compiled packages need of the system, and how a person gets them."""

# By the name that the loader looks for: Debian's and Ubuntu's package.
_PACKAGES = {
    "libcrypt.so.1": "libcrypt1",
    "libffi.so.8": "libffi8",
    "libgcc_s.so.1": "libgcc-s1",
    "libGL.so.1": "libgl1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgomp.so.1": "libgomp1",
    "libnuma.so.1": "libnuma1",
    "libstdc++.so.6": "libstdc++6",
    "libz.so.1": "zlib1g",
}


def missing_line(library: str, needed_by: str) -> str:
    """Return the one line about a library that this system lacks, with its remedy.

    Args:
        library: as the loader names it, ``libnuma.so.1``.
        needed_by: the compiled file or the package that cannot be loaded without it.
    """
    package = _PACKAGES.get(library)
    install = f"`apt install {package}`" if package else f"`apt-file search {library}` names it"
    return (
        f"this system has no {library}, which {needed_by} needs: install the package that holds it "
        f"(Debian, Ubuntu: {install})"
    )
