"""The tests, a package so that suites can be inherited across folders."""
