// Package wpconfig reads the address of the database from a WordPress' wp-config.php. The package never runs PHP: it reads
// the tokens of the file and takes literal values and variables of the environment. For a value that only PHP could compute
// (a value put together from parts, different values in the branches of an if), the error names the line.
package wpconfig
