//! How people and programs see Carillon: the HTTP API.
