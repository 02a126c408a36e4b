package web

import (
	"fmt"
	"net/http"

	"github.com/portico-web/portico/app/board"
	"github.com/portico-web/portico/app/post"
	"github.com/portico-web/portico/app/token"
	"github.com/portico-web/portico/internal/fault"
	"github.com/portico-web/portico/internal/httpx"
	"github.com/portico-web/portico/internal/lang"
)

// postView is a post, alone or in the form that edits it.
type postView struct {
	*view
	form
	Post    post.Post
	Board   board.Board
	School  string
	MayEdit bool
	Version string // the entity tag that an edit starts from
}

// viewPost reads a post and what stands around it.
func (p *Pages) viewPost(w http.ResponseWriter, r *http.Request) (*postView, error) {
	found, err := p.Posts.Get(r.Context(), numberOf(r))
	if err != nil {
		return nil, err
	}
	place, err := p.Boards.Get(r.Context(), found.BoardID)
	if err != nil {
		return nil, err
	}
	home, err := p.Schools.Get(r.Context(), place.SchoolID)
	if err != nil {
		return nil, err
	}
	version, err := httpx.ETag(found)
	if err != nil {
		return nil, err
	}
	v, err := p.viewOf(w, r, "")
	if err != nil {
		return nil, err
	}
	v.Title = found.Title
	return &postView{
		view: v, Post: found, Board: place, School: home.SchoolName, Version: version,
		MayEdit: found.IsMine || v.Identity.Staff,
	}, nil
}

func (p *Pages) showPost(w http.ResponseWriter, r *http.Request) error {
	v, err := p.viewPost(w, r)
	if err != nil {
		return err
	}
	return p.show(w, r, http.StatusOK, "post", v)
}

// editable is viewPost for those who may change the post; the others are refused.
func (p *Pages) editable(w http.ResponseWriter, r *http.Request) (*postView, error) {
	if _, err := token.Require(r.Context()); err != nil {
		return nil, err
	}
	v, err := p.viewPost(w, r)
	if err != nil {
		return nil, err
	}
	if !v.MayEdit {
		return nil, fault.New(fault.Forbidden, "You do not have permission to perform this action.")
	}
	v.Title = v.Lang.Text("Edit post")
	return v, nil
}

func (p *Pages) showEdit(w http.ResponseWriter, r *http.Request) error {
	v, err := p.editable(w, r)
	if err != nil {
		return err
	}
	v.form = form{Values: map[string]string{"title": v.Post.Title, "content": v.Post.Content}}
	if v.Post.Anonymous {
		v.Values["anonymous"] = "on"
	}
	return p.show(w, r, http.StatusOK, "edit", v)
}

func (p *Pages) editPost(w http.ResponseWriter, r *http.Request) error {
	typed := read(r, "title", "content", "anonymous")
	fields := postFields(typed)
	v, err := p.editable(w, r)
	if err != nil {
		return err
	}
	if !v.Post.IsMine { // only the author is offered the choice
		fields.Anonymous.Set = false
	}
	_, err = p.Posts.Change(r.Context(), numberOf(r), fields, true, r.PostFormValue("version"))
	if err == nil {
		p.redirect(w, r, fmt.Sprintf("/posts/%d/", v.Post.ID), "changed")
		return nil
	}
	status, unknown := typed.blame(w, r, err)
	if unknown != nil {
		return unknown
	}
	if status == http.StatusPreconditionFailed {
		typed.Errors[fault.NonField] = []string{lang.Of(r.Context()).Text("Somebody has changed this post meanwhile. Your text is still here: saving again replaces theirs.")}
	}
	v.form = typed
	return p.show(w, r, status, "edit", v)
}

func (p *Pages) deletePost(w http.ResponseWriter, r *http.Request) error {
	found, err := p.Posts.Get(r.Context(), numberOf(r))
	if err != nil {
		return err
	}
	if err := p.Posts.Delete(r.Context(), found.ID, ""); err != nil {
		return err
	}
	p.redirect(w, r, fmt.Sprintf("/boards/%d/", found.BoardID), "deleted")
	return nil
}
