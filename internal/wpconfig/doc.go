// Package wpconfig reads from a WordPress' wp-config.php where its database is. It never runs PHP: it reads the file's tokens and
// takes values that stand there as such, or come from a variable of the environment. Where PHP would have to be run (a value put
// together from parts, different values in the branches of an if), it says so, with the line, instead of guessing.
package wpconfig
